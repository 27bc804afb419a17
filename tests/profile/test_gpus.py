"""Which GPUs are the job's."""

from __future__ import annotations

import pytest

from mlscale.profile.gpus import busy_of
from mlscale.recording import Fact, GpuSample, ProcessSeen, Recording


def machine(visible: str | None, holders: dict[str, list[int]]) -> Recording:
    """Four GPUs, of which number 2 is busy, and a job with pid 7."""
    facts = {} if visible is None else {"visible_gpus": visible}
    events: list[object] = [ProcessSeen(0.0, 7, 1, "training", "python train.py", facts)]
    for index in range(4):
        events.append(Fact(0.0, "gpu", {"index": index, "name": "GPU", "uuid": f"GPU-{index}{index}-abc"}))
        events.extend(GpuSample(float(t), index, {"busy": 0.8 if index == 2 else 0.0}) for t in range(10))
    events.append(Fact(0.0, "gpu_holders", holders))
    return Recording({}, (), tuple(events), "duration", 10.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("visible", "holders", "gpus"),
    [
        (None, {"2": [7]}, [2]),
        ("0,1", {"2": [7]}, [2]),  # who holds it is the better witness
        ("2", {"2": [31007]}, [2]),  # a container: the driver counts processes outside of it
        ("GPU-22", {}, [2]),
        ("1, 2", {}, [1, 2]),
        ("", {}, [0, 1, 2, 3]),
        (None, {"2": [31007]}, [0, 1, 2, 3]),
    ],
)
def test_the_jobs_gpus(visible: str | None, holders: dict[str, list[int]], gpus: list[int]) -> None:
    found = busy_of(machine(visible, holders), [(0.0, 10.0)], [7])
    assert [gpu.index for gpu in found.gpus] == gpus
    assert found.fraction == pytest.approx(0.8 / len(gpus))


def counted(generation: int | None, pcie: float = 0.0) -> Recording:
    """A GPU whose utilisation, of short times, says 0.9 and whose counters say 0.5; with copies over PCIe."""
    link = {"pcie_generation": generation, "pcie_width": 16} if generation else {}
    events: list[object] = [Fact(0.0, "gpu", {"index": 0, "name": "GPU", **link})]
    for number in range(20):
        gpm = {"gpm_graphics": 0.5, "pcie_bytes_per_s": pcie} if number % 4 == 0 else {}
        events.append(GpuSample(number / 4, 0, {"busy": 0.9, **gpm}))
    return Recording({}, (), tuple(events), "duration", 5.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("generation", "pcie", "busy"),
    [
        (5, 0.0, 0.5),  # the counters miss nothing
        (5, 6.6e9, 0.6),  # 6.6 GB/s of the 66 that they show at 63 GB/s one way
        (4, 6.6e9, 0.7),
        (None, 0.0, 0.9),  # what copies take is not known: the utilisation has them
        (99, 0.0, 0.9),
    ],
)
def test_the_busy_share_is_counted_where_copies_are_known(generation: int | None, pcie: float, busy: float) -> None:
    found = busy_of(counted(generation, pcie), [(0.0, 5.0)], [7])
    assert found.fraction == pytest.approx(busy, abs=0.005)
    assert ("GPM: " in found.gpus[0].signal) is (busy < 0.9)


def test_what_the_counters_saw_before_the_steady_time_does_not_count() -> None:
    """The GPU idled until 6 s; GPM's value at 7 s is of the two seconds before."""
    events: list[object] = [Fact(0.0, "gpu", {"index": 0, "name": "GPU", "pcie_generation": 5, "pcie_width": 16})]
    for t in range(1, 21, 2):
        busy = 0.0 if t < 6 else 0.4 if t == 7 else 0.8
        gpm = {"gpm_graphics": busy, "pcie_bytes_per_s": 0.0, "gpm_s": 2.0}
        events.append(GpuSample(float(t), 0, {"busy": 0.8, **gpm}))
    found = busy_of(Recording({}, (), tuple(events), "duration", 20.0), [(6.0, 20.0)], [7])  # type: ignore[arg-type]
    assert found.fraction == pytest.approx(0.8)
