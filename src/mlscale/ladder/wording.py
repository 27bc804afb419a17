"""Figures in sentences. Pure."""

from __future__ import annotations

from mlscale.model.speedup import SpeedUp
from mlscale.profile.job import Cpu, FunctionShare, Host

SERVING = 0.05  # cores, from which it is worth telling who serves the data


def pct(share: float) -> str:
    """A share in per cent, without decimals."""
    return f"{share:.0%}"


def times(gain: SpeedUp | None) -> str:
    """A speed-up: "2.10 times"."""
    return (
        f"{gain.value:.3g} times"
        if gain is not None and gain.value >= 10
        else f"{gain.value:.2f} times"
        if gain
        else "an unknown amount"
    )


def cores(value: float) -> str:
    """A number of cores: "1 core", "1.5 cores"."""
    return f"{value:.3g} core{'' if abs(value - 1) < 0.005 else 's'}"


def served_by(cpu: Cpu, before: str) -> str:
    """What those use that serve the job's data on its own machine, after `before`: "s3fs uses 0.4 cores to serve its data"; ""
    where it is not worth telling."""
    if cpu.serving_cores < SERVING:
        return ""
    uses = "use" if len(cpu.servers) > 1 else "uses"
    return f"{before}{' and '.join(cpu.servers)} {uses} {cores(cpu.serving_cores)} to serve its data"


def count(value: int, noun: str) -> str:
    """ "1 worker", "4 workers"."""
    return f"{value} {noun}{'' if value == 1 else 's'}"


def trainer(host: Host) -> str:
    """What trains, as the start of a sentence: not every job has a GPU that could wait."""
    if host.gpus:
        return "The GPU"
    return "The accelerator" if host.accelerator_simulated else "The model"


def programs(cpu: Cpu) -> str:
    """The other programs by name: " (python3 other.py, pid 12)"; nothing where none was seen."""
    return f" ({'; '.join(f'{one.name}, pid {one.pid}' for one in cpu.programs)})" if cpu.programs else ""


def place(function: FunctionShare) -> str:
    """Where a function is: "log_metrics (train.py:90)"."""
    file = function.filename.rpartition("/")[2]
    if function.name == "<module>":
        return f"the code of {file} outside any function"
    return f"{function.name} ({file}:{function.line})" if function.line else f"{function.name} ({file})"
