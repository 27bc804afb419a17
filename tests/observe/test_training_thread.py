"""Which thread of a process trains."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from mlscale.observe.process import training_thread
from mlscale.observe.python.reader import Frame

MAIN, PINS, OTHER = 100, 101, 102


def frames(*places: str) -> list[Frame]:
    return [Frame(*place.rsplit("@", 1), 1, 0, 0) for place in places]  # type: ignore[arg-type]


BACKWARD = frames("_engine_run_backward@/x/torch/autograd/graph.py", "main@/x/train.py")
COPIES = frames("main@/x/train.py")
NEXT = frames("_BaseDataLoaderIter.__next__@/x/torch/utils/data/dataloader.py", "run@/x/train.py")
PINNING = frames(
    "Queue.get@/lib/python3.12/multiprocessing/queues.py",
    "do_one_step@/x/torch/utils/data/_utils/pin_memory.py",
    "_pin_memory_loop@/x/torch/utils/data/_utils/pin_memory.py",
)
JOINS = frames("Thread.join@/lib/python3.12/threading.py", "main@/x/train.py")


@dataclass
class Process:
    """What `training_thread` asks of a process under watch."""

    stacks: dict[int, list[Frame]]
    pid: int = MAIN
    main_tid: int = MAIN
    trained: Counter[int] = field(default_factory=Counter)

    @property
    def tids(self) -> dict[int, int]:
        return dict.fromkeys(self.stacks, 0)

    def frames(self, tid: int) -> list[Frame]:
        return self.stacks[tid]


@pytest.mark.parametrize(
    ("stacks", "trains"),
    [
        ({MAIN: BACKWARD, PINS: PINNING}, MAIN),
        ({MAIN: COPIES, PINS: PINNING}, MAIN),  # at a moment in which nothing tells that it trains
        ({MAIN: JOINS, OTHER: NEXT}, OTHER),
        ({MAIN: JOINS, PINS: PINNING, OTHER: NEXT}, OTHER),
    ],
)
def test_the_thread_that_trains(stacks: dict[int, list[Frame]], trains: int) -> None:
    assert training_thread(Process(stacks)) == trains  # type: ignore[arg-type]


def test_one_look_elsewhere_does_not_change_it() -> None:
    """A second thread iterates over the loader, as for evaluation, while the main one is between two steps."""
    process = Process({MAIN: BACKWARD, OTHER: NEXT})
    assert [training_thread(process) for _ in range(3)] == [MAIN] * 3  # type: ignore[arg-type]
    process.stacks[MAIN] = COPIES
    assert training_thread(process) == MAIN  # type: ignore[arg-type]
    assert [training_thread(process) for _ in range(3)][-1] == OTHER  # type: ignore[arg-type]
