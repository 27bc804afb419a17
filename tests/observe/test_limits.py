"""Limits that bind a process: made for real, then read."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from tests.faults import inject

from mlscale.observe.limits import read_limits, throttled_s


def test_a_quota_and_the_time_it_costs() -> None:
    with inject.cpu_quota(0.25) as prefix:
        process = subprocess.Popen([*prefix, "sh", "-c", "while :; do :; done"])
        try:
            time.sleep(1.0)
            limits = read_limits(process.pid)
            assert limits.quota_cores == pytest.approx(0.25)
            stopped = throttled_s(limits.quota_path)
            assert stopped is not None
            assert stopped > 0.3
        finally:
            process.kill()
            process.wait()


def test_a_limit_on_reads(tmp_path: Path) -> None:
    with inject.throttled_reads(tmp_path, 5_000_000) as prefix:
        process = subprocess.Popen([*prefix, "sleep", "60"])
        try:
            time.sleep(0.3)
            found = [limit for limit in read_limits(process.pid).io if limit.device == inject.disk_of(tmp_path)]
            assert found[0].read_bytes_per_s == 5_000_000
            assert "blkio.throttle" in found[0].source
        finally:
            process.kill()
            process.wait()


def test_none_where_there_is_none() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        limits = read_limits(process.pid)
        assert limits.io == ()
    finally:
        process.kill()
        process.wait()
