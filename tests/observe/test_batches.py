"""Batches are counted by the loader's own iterator, wherever the loop over them holds it."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest
from tests.running import started

from mlscale.observe.batches import Batches
from mlscale.observe.tree import Tree
from mlscale.recording import Counter, Recorder

# A loop that is hardly ever in its loader: what it holds has to tell. It writes how many batches it was given.
JOB = """
import sys, time, torch
from torch.utils.data import DataLoader, Dataset
class Rows(Dataset):
    def __len__(self): return 1 << 20
    def __getitem__(self, index): return index
def passed(batches):
    for batch in batches: yield batch
def endless(loader):
    while True: yield from loader
def several(loader):
    return passed(batch for batch in enumerate(passed(loader)))
def step(deep):  # what lay on the stack before is gone
    none = zero = one = two = three = four = five = six = seven = None
    if deep: step(deep - 1)
    else: time.sleep(0.02)
def train(spare, batches):
    log = open(sys.argv[2], "w", buffering=1)
    for count, _ in enumerate(batches, 1):
        print(count, file=log)
        step(8)
if __name__ == "__main__":
    loader = DataLoader(Rows(), batch_size=8)
    spare = endless(DataLoader(Rows(), batch_size=2)) if sys.argv[3] == "spare" else None
    if spare is not None: next(spare)
    train(spare, {"bare": iter, "passed": passed, "endless": endless, "several": several}[sys.argv[1]](loader))
"""


def counted(how: str, spare: str, folder: Path) -> tuple[list[int], int]:
    """What was counted in two seconds, and how many batches the job says it was given by the last one."""
    script, log = folder / f"{how}.py", folder / f"{how}.log"
    script.write_text(JOB)
    recorder = Recorder({}, None)
    with started([sys.executable, str(script), how, str(log), spare]) as process:
        tree = Tree(process.pid, recorder)
        deadline = time.monotonic() + 60
        while (not log.exists() or len(log.read_text().split()) < 20) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert log.exists(), f"no batch after 60 s; exit status: {process.poll()}"
        while not tree.of_role("training") and time.monotonic() < deadline:
            tree.update(0.0, full=False)  # a stack that could not be read is asked for again, as in a watch
            time.sleep(0.1)
        (training,) = tree.of_role("training")
        began = time.monotonic()
        while time.monotonic() < began + 2:
            training.look(process.pid, time.monotonic() - began)
            time.sleep(0.1)
        given = int(log.read_text().split()[-1])
        for watched in tree.processes.values():
            watched.close()
    return [event.value for event in recorder.events if isinstance(event, Counter)], given


@pytest.mark.parametrize("how", ["bare", "passed", "endless", "several"])
def test_a_loop_holds_its_iterator_itself_or_through_generators(how: str, tmp_path: Path) -> None:
    counts, given = counted(how, "alone", tmp_path)
    assert len(counts) >= 3  # the loop is in its loader for one look in fifty at most
    assert given - 30 < counts[-1] <= given + 1
    assert counts == sorted(counts)


def test_of_two_generators_it_is_not_guessed_which_one_trains(tmp_path: Path) -> None:
    counts, given = counted("passed", "spare", tmp_path)
    # It counts once it is seen in the loader, then rightly.
    assert all(value > 10 for value in counts)
    assert not counts or given - 30 < counts[-1] <= given + 1
    bare, given = counted("bare", "spare", tmp_path)
    assert given - 30 < bare[-1] <= given + 1


@pytest.mark.parametrize("epoch_s", [1.15, 1.2, 3.1])
def test_the_end_of_a_short_epoch_is_seen(epoch_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long an epoch is, only its last counts tell."""
    recorder = Recorder({}, None)
    batches = Batches(7, None, recorder)  # type: ignore[arg-type]  # nothing is read
    monkeypatch.setattr(batches, "_current", lambda *_: None)
    monkeypatch.setattr(batches, "_value", lambda t: int(5000 * (t % epoch_s)))
    batches._iterator, batches._iterators = 1, {1: 0}
    chance, t = random.Random(1), 0.0
    while t < 20:
        t += chance.uniform(0.02, 0.05)
        batches.look((), (), None, t)
    counts = [event.value for event in recorder.events if isinstance(event, Counter)]
    ends = [count for count, following in zip(counts, counts[1:], strict=False) if following < count]
    assert len(ends) > 20 / epoch_s - 2
    assert min(ends[1:]) >= 5000 * (epoch_s - 0.06)  # the first one is not yet known to be short
