"""Plain threads and a queue, or a ThreadPoolExecutor, used as a home-made loader in the training process."""

from mlscale.loaders.kind import LoaderKind, Where

THREADS = LoaderKind(
    id="threads",
    label="threads in the training process",
    worker_kind="thread",
    waits=(
        Where("Queue.get", "/queue.py"),
        Where("Future.result", "concurrent/futures/_base.py"),
        Where("_result_or_cancel", "concurrent/futures/_base.py"),
        Where("IMapIterator.next", "multiprocessing/pool.py"),
        Where("ApplyResult.get", "multiprocessing/pool.py"),
    ),
    worker_roots=(
        Where("Thread.run", "/threading.py"),
        Where("_worker", "concurrent/futures/thread.py"),
        Where("worker", "multiprocessing/pool.py"),
    ),
    worker_hand_over=(),
    # A full queue (put) and an empty order book (get, acquire) are both idleness: the loader is ahead.
    worker_idle=(
        Where("Queue.put", "/queue.py"),
        Where("Queue.get", "/queue.py"),
        Where("Semaphore.acquire", "/threading.py"),
        Where("Event.wait", "/threading.py"),
    ),
)
