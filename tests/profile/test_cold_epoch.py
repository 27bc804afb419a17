"""A cold first epoch is told from the epochs that find their data in the page cache."""

from __future__ import annotations

import pytest

from mlscale.profile.build import build_profile
from mlscale.recording import (
    Counter,
    Event,
    Fact,
    MachineSample,
    ProcessSample,
    ProcessSeen,
    Recording,
    StackFrame,
    ThreadSample,
)

LOADER = "/x/site-packages/torch/utils/data/dataloader.py"
WAITS = (StackFrame("_BaseDataLoaderIter.__next__", LOADER, 700), StackFrame("main", "/job/train.py", 1))
STEPS = (StackFrame("train_step", "/job/train.py", 9), StackFrame("main", "/job/train.py", 1))


def job(cold_mb_s: float, warm_mb_s: float, epoch_ends_s: float | None = 10.0) -> Recording:
    """20 s of a job with one epoch end: slow and reading before, fast after."""
    header = {"rate_hz": 20.0, "logical_cpus": 4, "affinity": [0, 1, 2, 3], "hostname": "x", "memory": {}}
    events: list[Event] = [ProcessSeen(0.0, 7, 1, "training", "python train.py", {"rank": None})]
    events.append(Fact(0.0, "iterator", {"pid": 7, "number": 0, "dataset": 1, "workers": 0, "batch_size": 8}))
    read = 0.0
    for tick in range(400):
        t = tick * 0.05
        cold = epoch_ends_s is None or t < epoch_ends_s
        read += (cold_mb_s if cold else warm_mb_s) * 1e6 * 0.05
        waits = tick % 10 < (8 if cold else 1)
        events.append(ThreadSample(t, 7, 7, "S", None, None, 0, "file:/data" if waits else "sleep", 0 if waits else 1))
        done = 10 * t if cold else 40 * (t - (epoch_ends_s or 0.0))
        events.append(Counter(t, 7, "yielded#0", float(int(done))))
        if tick % 20 == 0:
            events.append(ProcessSample(t, 7, 0.1 * t, 0.0, int(read), 10, int(read), 0, 1, 1 << 20))
            events.append(MachineSample(t, {"cpu_s": t}))
    return Recording(header, (WAITS, STEPS), tuple(events), "duration", 20.0)


def test_what_follows_a_cold_epoch_is_what_counts() -> None:
    profile = build_profile(job(50, 0))
    assert ("cold epoch", 10.0) in [(name, round(end, 1)) for _, end, name in profile.window.phases]
    assert profile.training is not None
    assert profile.training.data == pytest.approx(0.1, abs=0.03)
    assert profile.demand is not None
    assert profile.demand.batches_per_s == pytest.approx(40, rel=0.05)


def test_a_store_that_stays_cold_is_no_cold_epoch() -> None:
    profile = build_profile(job(50, 50))
    assert all(name != "cold epoch" for _, _, name in profile.window.phases)


def test_a_first_epoch_that_was_not_seen_to_end_is_warned_of() -> None:
    assert any("first epoch" in warning for warning in build_profile(job(50, 0, None)).warnings)
    assert not any("first epoch" in warning for warning in build_profile(job(0, 0, None)).warnings)
