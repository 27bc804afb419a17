"""multiprocessing.Pool and concurrent.futures.ProcessPoolExecutor, used as a home-made loader."""

from mlscale.loaders.kind import LoaderKind, Where

PROCESSES = LoaderKind(
    id="processes",
    label="a pool of processes",
    worker_kind="process",
    waits=(
        Where("IMapIterator.next", "multiprocessing/pool.py"),
        Where("ApplyResult.get", "multiprocessing/pool.py"),
        Where("Future.result", "concurrent/futures/_base.py"),
        Where("_result_or_cancel", "concurrent/futures/_base.py"),
        Where("Queue.get", "multiprocessing/queues.py"),
    ),
    worker_roots=(
        Where("worker", "multiprocessing/pool.py"),
        Where("_process_worker", "concurrent/futures/process.py"),
        Where("BaseProcess._bootstrap", "multiprocessing/process.py"),
    ),
    worker_hand_over=(
        Where("SimpleQueue.put", "multiprocessing/queues.py"),
        Where("Queue.put", "multiprocessing/queues.py"),
        Where("_sendback_result", "concurrent/futures/process.py"),
    ),
    worker_idle=(
        Where("SimpleQueue.get", "multiprocessing/queues.py"),
        Where("Queue.get", "multiprocessing/queues.py"),
    ),
)
