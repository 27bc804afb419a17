"""The machine around the job."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from mlscale.observe import machine, proc
from mlscale.observe.limits import read_limits


def test_time_of_programs_that_yield_is_counted_apart() -> None:
    before, all_before = machine.machine_cpu_s(only_nice=True), machine.machine_cpu_s()
    assert before is not None and all_before is not None
    code = "import time\nwhile time.thread_time() < 0.5: pass"
    subprocess.run(["nice", "-n", "5", sys.executable, "-c", code], check=True)
    time.sleep(0.05)  # the kernel adds up at its ticks
    after, all_after = machine.machine_cpu_s(only_nice=True), machine.machine_cpu_s()
    assert after is not None and all_after is not None
    assert after > before  # by how much is left to ticks, which miss what runs between them
    assert all_after - all_before >= after - before


def test_niceness() -> None:
    assert proc.niceness(os.getpid()) == os.nice(0)
    assert proc.niceness(1 << 22) is None


def test_a_sample_holds_what_the_profile_reads() -> None:
    values = machine.sample(read_limits(os.getpid()), [])
    assert {"cpu_s", "nice_s", "MemTotal"} <= set(values)


def test_hyperthreads_as_the_kernel_tells_them() -> None:
    cpus = os.sched_getaffinity(0)
    lists = {Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text() for cpu in cpus}
    assert machine.threads_per_core(cpus) == max(1, round(len(cpus) / len(lists)))
    assert machine.threads_per_core([100_000]) == 1
    assert machine.threads_per_core([]) == 1


def test_fresh_memory_costs_time_for_each_byte() -> None:
    """More than to write to memory that is there (some 0.1 ns a byte), and less than a hundred times that."""
    filled_s, released_s = machine.fresh_memory_s()
    assert 0 < released_s < 1e-8
    assert 1e-11 < filled_s < 1e-7
