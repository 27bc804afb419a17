"""tf.data: a C++ pipeline; the Python side only waits for the next element."""

from mlscale.loaders.kind import LoaderKind, Where

TFDATA = LoaderKind(
    id="tfdata",
    label="tf.data.Dataset",
    worker_kind="thread",
    waits=(
        Where("OwnedIterator.__next__", "tensorflow/python/data/ops/iterator_ops.py"),
        Where("OwnedIterator._next_internal", "tensorflow/python/data/ops/iterator_ops.py"),
        Where("iterator_get_next", "tensorflow/python/ops/gen_dataset_ops.py"),
    ),
    native_threads=("tf_data",),
    more_threads="dataset.map(..., num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)",
)
