"""The contract's measurements, each with its interval and source, or the reason why it is missing. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlscale.measure import Measured, Measurement, Missing, exact
from mlscale.profile.counters import Totals
from mlscale.profile.gpus import Busy
from mlscale.profile.job import Cpu, Demand, TrainingThread, Workers
from mlscale.profile.missing import no_gpu_because
from mlscale.profile.seen import Seen
from mlscale.profile.timeline import Rate, Span
from mlscale.recording import Recording

_LOOKS = "looks at the thread's stack and state"


def measurements_of(
    seen: Seen,
    spans: Sequence[Span],
    rates: Sequence[Rate],
    thread: TrainingThread | None,
    divided: Workers | None,
    cpu: Cpu | None,
    gpu: Busy,
    demand: Demand | None,
) -> dict[str, Measured]:
    """By the contract's names."""
    found: dict[str, Measured] = {}
    loader = seen.loader
    batch = loader.batch_size if loader else None
    source = f"counter of {loader.label}'s iterator" if loader else ""
    if rates:
        value, low, high = (sum(getattr(r, n) for r in rates) for n in ("value", "low", "high"))
        per_rank = len(rates)
        found["step_rate"] = Measurement(value / per_rank, "1/s", low / per_rank, high / per_rank, source)
        if batch:
            found["throughput"] = Measurement(
                value * batch, "samples/s", low * batch, high * batch, f"{source}, times its batch size ({batch})"
            )
        else:
            found["throughput"] = Missing("the loader does not reveal its batch size")
    else:
        reason = "the loader keeps no counter that can be read"
        found["step_rate"] = found["throughput"] = Missing(reason)
    if thread is None:
        reason = "no steady training was seen"
        for name in ("data_wait_fraction", "host_busy_fraction"):
            found[name] = Missing(reason)
    else:
        how = f"{thread.samples} {_LOOKS}" if thread.stacks_seen else f"{thread.samples} looks at the thread's state"
        found["data_wait_fraction"] = _share(thread.data, thread.samples, how)
        found["host_busy_fraction"] = _share(thread.host, thread.samples, how)
    if divided is not None:
        how = f"{divided.samples} {_LOOKS}, and schedstat"
        busy = 1 - divided.idle
        found["worker_busy_fraction"] = _share(busy, divided.samples, how)
        found["worker_cpu_fraction"] = _share(divided.compute, divided.samples, "schedstat of each worker")
        found["worker_io_wait_fraction"] = _share(divided.io_wait, divided.samples, how)
    else:
        reason = "the job has no loader workers" if loader and not loader.workers else "no loader worker was seen"
        for name in ("worker_busy_fraction", "worker_cpu_fraction", "worker_io_wait_fraction"):
            found[name] = Missing(reason)
    if cpu is not None:
        found["cpu_used_cores"] = exact(cpu.job_cores, "cores", "/proc/PID/stat of all processes of the job")
        named = {"machine": "the machine's CPUs", "affinity": "sched_getaffinity", "quota": "the container's CPU quota"}
        found["cpu_limit_cores"] = exact(cpu.limit_cores, "cores", named[cpu.limit_source])
    else:
        found["cpu_used_cores"] = found["cpu_limit_cores"] = Missing("CPU time was read fewer than twice")
    found.update(_storage(seen.totals, spans, (*seen.roles.workers, *seen.roles.training)))
    if demand is not None and batch:
        found["prep_cpu_seconds_per_sample"] = _near(
            demand.worker_cpu_s / batch, "s", 0.03, "CPU time of the loader over its samples"
        )
        busy_s, how = demand.step_s, "the training thread's step over samples"
        if gpu.fraction is not None:
            busy_s, how = gpu.fraction / demand.batches_per_s, "the GPU's busy time over samples"
        found["gpu_seconds_per_sample"] = _near(busy_s / batch, "s", 0.05, how)
    else:
        reason = "it takes the rate of samples, which is not known"
        found["prep_cpu_seconds_per_sample"] = found["gpu_seconds_per_sample"] = Missing(reason)
    found.update(_gpu(seen.recording, gpu))
    return found


def _storage(totals: Totals, spans: Sequence[Span], pids: Sequence[int]) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    device = totals.rate(pids, lambda s: s.read_bytes, spans)
    calls = totals.rate(pids, lambda s: s.read_calls, spans)
    chars = totals.rate(pids, lambda s: s.read_chars, spans)
    refused = "the kernel refuses /proc/PID/io of this job"
    found["storage_read_bytes_per_s"] = (
        exact(device, "bytes/s", "read_bytes of /proc/PID/io: what had to come from a device")
        if device is not None
        else Missing(refused)
    )
    found["storage_reads_per_s"] = (
        exact(calls, "1/s", "read calls in /proc/PID/io, pipes of the loader included")
        if calls is not None
        else Missing(refused)
    )
    if device is None or chars is None:
        found["page_cache_hit_fraction"] = Missing(refused)
    elif chars < 1e5 or device > chars:
        # Maps and recv() pass rchar by; then the ratio would be made up.
        found["page_cache_hit_fraction"] = Missing("the job reads by other means than read(): a memory map, or sockets")
    else:
        found["page_cache_hit_fraction"] = exact(
            1 - device / chars, "fraction", "read_bytes over rchar of /proc/PID/io"
        )
    return found


def _gpu(recording: Recording, gpu: Busy) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    reason = no_gpu_because(recording)
    missing = Missing(f"no GPU: {reason}" if reason else "the driver does not tell")
    signal = gpu.gpus[0].signal if gpu.gpus else ""
    if gpu.fraction is None:
        found["gpu_busy_fraction"] = missing
    else:
        found["gpu_busy_fraction"] = Measurement(
            gpu.fraction,
            "fraction",
            max(0.0, gpu.fraction - gpu.spread),
            min(1.0, gpu.fraction + gpu.spread),
            f"{signal}, {gpu.samples} samples",
        )
    for name, value, unit in (
        ("gpu_memory_used_bytes", gpu.memory_used_bytes, "bytes"),
        ("gpu_memory_busy_fraction", gpu.memory_busy, "fraction"),
        ("gpu_power_fraction", gpu.power, "fraction"),
        ("pcie_bytes_per_s", gpu.pcie_bytes_per_s, "bytes/s"),
    ):
        found[name] = exact(value, unit, "NVML, mean over the window") if value is not None else missing
    return found


def _share(value: float, looks: int, source: str) -> Measurement:
    half = 1.645 * math.sqrt(max(value * (1 - value), 1 / max(looks, 1)) / max(looks, 1))
    return Measurement(value, "fraction", max(0.0, value - half), min(1.0, value + half), source)


def _near(value: float, unit: str, relative: float, source: str) -> Measurement:
    return Measurement(value, unit, value * (1 - relative), value * (1 + relative), source)
