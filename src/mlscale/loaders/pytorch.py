"""torch.utils.data.DataLoader, alone or under Lightning, Accelerate and the Hugging Face Trainer."""

from mlscale.loaders.kind import LoaderKind, SamplesIn, Where

_LOADER = "torch/utils/data/dataloader.py"
_WORKER = "torch/utils/data/_utils/worker.py"

PYTORCH = LoaderKind(
    id="pytorch",
    label="torch.utils.data.DataLoader",
    worker_kind="process",
    waits=(
        Where("_BaseDataLoaderIter.__next__", _LOADER),
        Where("_PrefetchDataFetcher.__next__", "loops/fetchers.py"),  # Lightning
        Where("DataLoaderShard.__iter__", "accelerate/data_loader.py"),
        Where("DataLoaderDispatcher.__iter__", "accelerate/data_loader.py"),
    ),
    takes_over=(
        Where("*", "torch/multiprocessing/reductions.py"),
        Where("*", "multiprocessing/resource_sharer.py"),
        Where("_ConnectionBase.recv_bytes", "multiprocessing/connection.py"),
    ),
    starts=(
        Where("DataLoader.__iter__", _LOADER),
        Where("_MultiProcessingDataLoaderIter.__init__", _LOADER),
        Where("_MultiProcessingDataLoaderIter._shutdown_workers", _LOADER),
        Where("_MultiProcessingDataLoaderIter.__del__", _LOADER),
    ),
    helpers=(Where("_pin_memory_loop", "torch/utils/data/_utils/pin_memory.py"),),
    worker_roots=(Where("_worker_loop", _WORKER),),
    worker_hand_over=(Where("Queue.put", "multiprocessing/queues.py"), Where("_ForkingPickler.dumps", "reduction.py")),
    worker_idle=(Where("Queue.get", "multiprocessing/queues.py"),),
    worker_prepares=(Where("*", "torch/utils/data/_utils/fetch.py"),),
    iterators=("_MultiProcessingDataLoaderIter", "_SingleProcessDataLoaderIter"),
    counter="_num_yielded",
    samples=(SamplesIn(Where("fetch", "torch/utils/data/_utils/fetch.py"), "data"),),
)
