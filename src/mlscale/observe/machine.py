"""The machine around the job, once a second: CPU time, quota, pressure, memory and disks."""

from __future__ import annotations

import mmap
import os
import re
import time
from collections.abc import Iterable
from typing import Any

from mlscale.observe import proc, storage
from mlscale.observe.limits import Limits, throttled_s

_TRIED_BYTES = 1 << 20
_MEMORY_KEYS = ("MemTotal", "MemAvailable", "Cached", "Shmem", "Dirty", "SwapFree")


def sample(limits: Limits, disks: Iterable[str]) -> dict[str, Any]:
    """Cumulative counters and gauges, named as in the kernel. Absent keys could not be read."""
    values: dict[str, Any] = {}
    busy = machine_cpu_s()
    if busy is not None:
        values["cpu_s"] = busy
        values["nice_s"] = machine_cpu_s(only_nice=True)
    throttled = throttled_s(limits.quota_path)
    if throttled is not None:
        values["throttled_s"] = throttled
    for name in ("cpu", "io", "memory"):
        stalled = _pressure_s(name)
        if stalled is not None:
            values[f"psi_{name}_s"] = stalled
    values.update(memory_bytes())
    counters = storage.disk_counters()
    for device in disks:
        disk = counters.get(device)
        if disk is not None:
            values[f"disk {device}"] = [disk.reads, disk.read_bytes, round(disk.read_s, 3), round(disk.queue_s, 3)]
    return values


def fresh_memory_s() -> tuple[float, float]:
    """CPU seconds for each byte of shared memory that is written for the first time, and that is given back. Tried on 1 MiB of
    our own, three times: some 2 ms."""
    found = []
    data = bytes(_TRIED_BYTES)
    for _ in range(3):
        with mmap.mmap(-1, _TRIED_BYTES) as memory:
            began = time.thread_time()
            memory[:] = data
            filled = time.thread_time()
        found.append((filled - began, time.thread_time() - filled))
    return min(f for f, _ in found) / _TRIED_BYTES, min(r for _, r in found) / _TRIED_BYTES


def machine_cpu_s(*, only_nice: bool = False) -> float | None:
    """CPU seconds spent by everyone since boot (user, nice, system, irq, softirq); or by what yields to others (nice)."""
    try:
        with open("/proc/stat", "rb") as file:
            words = file.readline().split()
        return sum(int(words[i]) for i in ((2,) if only_nice else (1, 2, 3, 6, 7))) / proc.CLOCK_TICKS_PER_S
    except (OSError, IndexError, ValueError):
        return None


def memory_bytes() -> dict[str, int]:
    """The lines of /proc/meminfo that matter, in bytes."""
    found = {}
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                key, _, rest = line.decode().partition(":")
                if key in _MEMORY_KEYS:
                    found[key] = int(rest.split()[0]) * 1024
    except (OSError, ValueError):
        pass
    return found


def _pressure_s(name: str) -> float | None:
    try:
        with open(f"/proc/pressure/{name}", "rb") as file:
            match = re.search(rb"some .*total=(\d+)", file.read())
    except OSError:
        return None
    return int(match[1]) / 1e6 if match else None


def instance_type() -> str | None:
    """The EC2 instance type, as the firmware tells it; no network is asked."""
    try:
        with open("/sys/devices/virtual/dmi/id/sys_vendor", encoding="utf-8") as file:
            if "Amazon" not in file.read():
                return None
        with open("/sys/devices/virtual/dmi/id/product_name", encoding="utf-8") as file:
            name = file.read().strip()
    except OSError:
        return None
    return name if re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", name) else None


def threads_per_core(cpus: Iterable[int]) -> int:
    """Hyperthreads of one core among these CPUs, as the kernel tells it; 1 where it does not."""
    cores = set()
    wanted = list(cpus)
    for cpu in wanted:
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as file:
                cores.add(file.read().strip())
        except OSError:
            return 1
    return max(1, round(len(wanted) / len(cores))) if cores else 1


def logical_cpus() -> int:
    """CPUs of the machine, whatever this process may use."""
    return os.cpu_count() or 1
