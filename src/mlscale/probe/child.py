"""Runs in the Python of the job, which need not have mlscale: imports the user's loader or step, and measures it.

    python child.py '{"kind": "loader", "target": "train:loader", "seconds": 20, "workers": [0, 2], "out": 5}'

Standard library only. One JSON object a line goes to the descriptor `out`; what the user's code prints is no concern of it.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator
from typing import Any

PARTS = 6  # equal parts of a trial's time, for its spread
LEAST_CALLS = 3  # of a step, to warm up
WARM_UP_FRACTION = 0.2  # of a step's time: compilers, allocators and caches settle
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Refused(Exception):
    """What is wrong with the target, in one line."""


def main() -> None:
    """Measures what the first argument asks for. An error of the user's code is told, never raised."""
    spec = json.loads(sys.argv[1])
    sys.argv = [spec["target"]]
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.getcwd(), *(path for path in sys.path if os.path.abspath(path) != own)]
    os.set_inheritable(spec["out"], False)
    with os.fdopen(spec["out"], "w", buffering=1, encoding="utf-8") as out:

        def say(**event: Any) -> None:
            out.write(json.dumps(event) + "\n")

        where = "import"
        try:
            found = resolve(spec["target"])
            where = "use"
            if spec["kind"] == "loader":
                probe_loader(found, spec, say)
            else:
                probe_step(found, spec, say)
            say(event="end")
        except Refused as refused:
            say(event="error", says=str(refused), where="refused" if where == "use" else where)
        except (Exception, SystemExit) as error:
            say(event="error", says=in_one_line(error), where=where)
        sys.stdout.flush()
        out.flush()
        # Whatever threads and workers the user's code left are of no use any more, and must not keep it waiting.
        os._exit(0)


def resolve(target: str) -> Any:
    """The object that "package.module:name.of.it" or "path/to/file.py:name" names."""
    module, _, name = target.partition(":")
    if module.endswith(".py"):
        folder, file = os.path.split(os.path.abspath(module))
        if not os.path.isfile(module):
            raise Refused(f"{module}: no such file")
        sys.path.insert(0, folder)
        module = file[:-3]
    found = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            names = [known for known in vars(found) if not known.startswith("_")] if hasattr(found, "__dict__") else []
            near = difflib.get_close_matches(part, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Refused(f"{module} has no {name}{hint}")
        found = getattr(found, part)
    return found


def in_one_line(error: BaseException) -> str:
    """ "ValueError: what (train.py, line 12)": the place is the last one in the user's code."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__ and "importlib" not in f.filename
    ]
    what = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return f"{what} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else what


def probe_loader(found: Any, spec: dict[str, Any], say: Callable[..., None]) -> None:
    """Iterates the loader as it is, or with each number of workers, for equal parts of the time."""
    loader = found
    if callable(loader) and (isinstance(loader, type) or not hasattr(loader, "__iter__")):
        loader = loader()
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise Refused(f"a {type(loader).__name__} cannot be iterated; name a loader, or a function that gives one")
    own = getattr(loader, "num_workers", None)
    counts = spec["workers"] or [own]
    for count in counts:
        trial = loader if count == own else with_workers(loader, count)
        say(event="trial", workers=count, as_it_is=count == own, batch_size=spec["batch_size"] or batch_size_of(loader))
        iterate(trial, count or 0, spec["seconds"] / len(counts), spec["batch_size"] or batch_size_of(loader), say)
        del trial
        gc.collect()  # ends its workers, before the next trial's begin


def iterate(loader: Any, workers: int, seconds: float, size: int | None, say: Callable[..., None]) -> None:
    """One trial: time to the first batch, then parts of steady batches, from epoch to epoch."""
    batches = coming(loader, workers, say)
    first, took, _ = next(batches)
    say(event="first", s=took)
    size = size or leading(first)
    del first
    ends = time.perf_counter() + seconds
    length = seconds / PARTS
    elapsed, count, cpu = 0.0, 0, tree_cpu_s()
    for _, took, steady in batches:
        now = time.perf_counter()
        if steady:
            elapsed, count = elapsed + took, count + 1
        else:
            cpu = tree_cpu_s() if count == 0 else cpu
        if elapsed >= length and count:
            spent = tree_cpu_s()
            say(event="part", s=elapsed, count=count, amount=size and size * count, cpu_s=max(0.0, spent - cpu))
            elapsed, count, cpu = 0.0, 0, spent
        if now >= ends:
            break
    batches.close()


def coming(loader: Any, workers: int, say: Callable[..., None]) -> Generator[tuple[Any, float, bool], None, None]:
    """(batch, seconds that it took to come, whether that is steady), without an end. The first ones of an epoch are not: all
    workers begin at once."""
    whole = 0
    while True:
        iterator, place = iter(loader), 0
        while True:
            began = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                break
            yield batch, time.perf_counter() - began, place > workers
            place += 1
        if place == 0:
            raise Refused("the loader gives no batch; look at its data set")
        whole += 1
        if whole == 1:
            say(event="epoch", batches=place)  # once: a list in memory has thousands of epochs a second


def with_workers(loader: Any, count: int) -> Any:
    """The same PyTorch DataLoader with another number of workers."""
    data = sys.modules.get("torch.utils.data")
    if data is None or not isinstance(loader, data.DataLoader):
        raise Refused(f"a {type(loader).__name__} cannot be built again with {count} workers; leave --workers out")
    options: dict[str, Any] = {
        name: getattr(loader, name)
        for name in ("collate_fn", "pin_memory", "worker_init_fn", "generator")
        if hasattr(loader, name)
    }
    if count:
        options["timeout"] = loader.timeout
        options["prefetch_factor"] = loader.prefetch_factor or 2
        if loader.num_workers:
            options["multiprocessing_context"] = loader.multiprocessing_context
    if isinstance(loader.dataset, data.IterableDataset):
        options.update(batch_size=loader.batch_size, drop_last=loader.drop_last)
    elif loader.batch_sampler is not None:
        options["batch_sampler"] = loader.batch_sampler
    else:
        options.update(batch_size=None, sampler=loader.sampler)
    return data.DataLoader(loader.dataset, num_workers=count, **options)


def batch_size_of(loader: Any) -> int | None:
    """As the loader says it."""
    for place in (loader, getattr(loader, "batch_sampler", None)):
        size = getattr(place, "batch_size", None)
        if isinstance(size, int) and size > 0:
            return size
    return None


def leading(batch: Any) -> int | None:
    """The first dimension of the first array in a batch."""
    shape = getattr(batch, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    inside = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, (list, tuple)) else ()
    return next((size for size in map(leading, inside) if size is not None), None)


def probe_step(found: Any, spec: dict[str, Any], say: Callable[..., None]) -> None:
    """Calls the step until it has settled, then in parts, each ended by waiting for the GPU."""
    if not callable(found):
        raise Refused(
            f"a {type(found).__name__} cannot be called; name a function without arguments that does one step"
        )
    seconds = spec["seconds"]
    began, calls = time.perf_counter(), 0
    while calls < LEAST_CALLS or time.perf_counter() - began < WARM_UP_FRACTION * seconds:
        found()
        calls += 1
        if time.perf_counter() - began >= seconds:
            break  # a step of many seconds has no time to warm up
    wait = waiting_for_gpu()
    wait()
    say(event="warm", calls=calls, synchronised=wait is not _no_gpu)
    length = seconds * (1 - WARM_UP_FRACTION) / PARTS
    ends = time.perf_counter() + seconds * (1 - WARM_UP_FRACTION)
    while True:
        cpu, began, count = tree_cpu_s(), time.perf_counter(), 0
        while count == 0 or time.perf_counter() - began < length:
            found()
            count += 1
        wait()
        now = time.perf_counter()
        size = spec["batch_size"]
        say(event="part", s=now - began, count=count, amount=size and size * count, cpu_s=max(0.0, tree_cpu_s() - cpu))
        if now >= ends:
            return


def waiting_for_gpu() -> Callable[[], None]:
    """A function that returns once the GPU has done what it was given; CUDA runs behind the caller."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        wait: Callable[[], None] = torch.cuda.synchronize
        return wait
    return _no_gpu


def _no_gpu() -> None:
    return


def tree_cpu_s() -> float:
    """CPU seconds of this process and all below it so far, those that were waited for included."""
    times = os.times()
    total = times.user + times.system + times.children_user + times.children_system
    children: dict[int, list[tuple[int, float]]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            spent = sum(int(fields[place]) for place in (11, 12, 13, 14)) / _TICKS_PER_S
            children.setdefault(int(fields[1]), []).append((int(name), spent))
    below = [os.getpid()]
    while below:
        for pid, spent in children.get(below.pop(), ()):
            total += spent
            below.append(pid)
    return total


if __name__ == "__main__":
    main()
