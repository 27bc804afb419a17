"""NVIDIA DALI: a C++ pipeline on threads of its own, and on the GPU."""

from mlscale.loaders.kind import LoaderKind, Where

DALI = LoaderKind(
    id="dali",
    label="nvidia.dali iterator",
    worker_kind="thread",
    waits=(
        Where("DALIGenericIterator.__next__", "nvidia/dali/plugin/pytorch/__init__.py"),
        Where("_DaliBaseIterator._get_outputs", "nvidia/dali/plugin/base_iterator.py"),
        Where("Pipeline.share_outputs", "nvidia/dali/pipeline.py"),
    ),
    native_threads=("[DALI]",),
    more_threads="Pipeline(..., num_threads=N) with N as the free cores, prefetch_queue_depth=2 or more",
)
