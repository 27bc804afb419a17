"""What the probes found, as plain data: the figures of equal parts of the time, so that their spread can be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part of a trial: `count` things (reads, batches, steps) in `elapsed_s` seconds. `cpu_s`: of all processes
    that took part. `amount`: bytes that were read, or samples; None where a batch's size is not known."""

    elapsed_s: float
    count: int
    amount: float | None
    cpu_s: float


@dataclass(frozen=True)
class StoreTrial:
    """Reads by `readers` threads at once. `read_s` is what single ones took, opening included; `device_bytes` came from
    a block device, None where the kernel does not count them. `failed` ended with an error, and count nowhere else."""

    readers: int
    parts: tuple[Part, ...]
    read_s: tuple[float, ...]
    device_bytes: int | None = None
    failed: int = 0


@dataclass(frozen=True)
class StoreFound:
    """A store, by its trials. `read_bytes`: of one read, at the median. `kind` and `file_system` are a Mount's."""

    path: str
    files: int
    file_bytes: int
    read_bytes: int
    whole_files: bool
    kind: str
    file_system: str
    device: str
    trials: tuple[StoreTrial, ...]
    cached: StoreTrial | None = None
    dropped: bool = True  # what was read was dropped from the page cache before
    notes: tuple[str, ...] = ()
    ended: str = "duration"


@dataclass(frozen=True)
class LoaderTrial:
    """A loader iterated by itself. `workers`: None where it does not say. `epoch`: batches of a whole one,
    None where none ended in time."""

    workers: int | None
    as_it_is: bool
    first_batch_s: float
    parts: tuple[Part, ...]
    epoch: int | None = None


@dataclass(frozen=True)
class GpuSeen:
    """The GPU that a step holds. `busy`: looks at it, each a share. `used_bytes`: the most memory that was taken, by all."""

    name: str
    memory_bytes: int | None
    busy: tuple[float, ...]
    used_bytes: int | None


@dataclass(frozen=True)
class StepTrial:
    """A step called by itself. `gpu`: None where it holds none."""

    warm_up: int
    parts: tuple[Part, ...]
    synchronised: bool
    gpu: GpuSeen | None = None


@dataclass(frozen=True)
class CodeFound:
    """What came of the user's loader or step."""

    target: str
    loader: tuple[LoaderTrial, ...] = ()
    step: StepTrial | None = None
    batch_size: int | None = None
    notes: tuple[str, ...] = ()
    ended: str = "duration"
