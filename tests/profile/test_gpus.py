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
