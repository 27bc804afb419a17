"""The first line of a recording: the job, the machine, and what limits the job there."""

from __future__ import annotations

import os
import platform
import socket
import time
from datetime import datetime, timezone

import mlscale
from mlscale.observe import machine, proc
from mlscale.observe.find import Target
from mlscale.observe.limits import Limits


def header_of(target: Target, rate_hz: float, limits: Limits) -> dict[str, object]:
    """Facts that do not change while a job is watched; docs/recording.md."""
    affinity = proc.affinity(target.pid)
    return {
        "mlscale": mlscale.__version__,
        "began_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "began_monotonic_s": time.monotonic(),
        "rate_hz": rate_hz,
        "root": target.pid,
        "why": target.why,
        "others": list(target.others),
        "hostname": socket.gethostname(),
        "kernel": platform.release(),
        "logical_cpus": machine.logical_cpus(),
        "affinity": sorted(affinity),
        "threads_per_core": machine.threads_per_core(affinity),
        "memory": machine.memory_bytes(),
        "quota_cores": limits.quota_cores,
        "memory_limit_bytes": limits.memory_limit_bytes,
        "cgroup_version": limits.version,
        "io_limits": [[io.device, io.read_bytes_per_s, io.reads_per_s, io.source] for io in limits.io],
        "container": limits.container,
        "instance_type": machine.instance_type(),
        "uid": os.geteuid(),
        "nice": proc.niceness(target.pid),
    }
