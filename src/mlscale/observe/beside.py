"""Which other programs take the cores. Looked for only where there are some, once: it reads each process's totals twice."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from mlscale.observe import machine, proc

COMPANY = 0.1  # of the machine's cores, which others use: the least that the ladder calls company
LEAST_CORES = 0.1  # of a program that is worth naming
MOST_NAMED = 3
_RUNS_SCRIPTS = ("python", "node", "java", "perl", "ruby", "bash", "sh")


def is_company(machine_cpu_s: float, job_cpu_s: float, seconds: float) -> bool:
    """Whether others take cores, by the CPU seconds of all and of the job in so many seconds."""
    return seconds > 0 and (machine_cpu_s - job_cpu_s) / seconds >= COMPANY * machine.logical_cpus()


def cpu_by_process(passed_over: Collection[int]) -> dict[int, float]:
    """CPU seconds so far of all processes that may be seen, but for the job's (`passed_over`) and this one."""
    found = {}
    for pid in proc.all_pids():
        if pid in passed_over or pid == os.getpid():
            continue
        try:
            found[pid] = proc.stat(pid).cpu_s
        except ProcessLookupError:
            continue
    return found


def busiest(before: Mapping[int, float], now: Mapping[int, float], seconds: float) -> list[dict[str, object]]:
    """The programs that used most between two readings: pid, name, cores."""
    used = {pid: (cpu_s - before[pid]) / seconds for pid, cpu_s in now.items() if pid in before}
    most = sorted((pid for pid, cores in used.items() if cores >= LEAST_CORES), key=lambda pid: -used[pid])
    return [
        {"pid": pid, "name": name_of(pid), "cores": round(used[pid], 3), "group": share_group(pid)}
        for pid in most[:MOST_NAMED]
    ]


def share_group(pid: int) -> str | None:
    """The session's group (sched_autogroup) among which the kernel shares the cores evenly, however many threads each has; None
    where there are no such groups: switched off, or the process is in a cgroup of its own."""
    try:
        if not int(Path("/proc/sys/kernel/sched_autogroup_enabled").read_text()):
            return None
        cgroups = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
        paths = {controller: path for _, names, path in cgroups for controller in names.split(",")}
        if paths.get("cpu", paths.get("", "/")) != "/":
            return None
        return Path(f"/proc/{pid}/autogroup").read_text().split()[0]
    except (OSError, ValueError, IndexError):
        return None


def name_of(pid: int) -> str:
    """A program's name, and its script's; no further argument, for those are nobody's business."""
    words = proc.command_line(pid)
    first = words[0].split() if words else []  # a program that retitles itself puts all its arguments there
    if not first:
        return proc.thread_name(pid, pid) or "?"
    program = os.path.basename(first[0])
    if not program.startswith(_RUNS_SCRIPTS) or len(words) < 2:
        return program
    if words[1] == "-m" and len(words) > 2:
        return f"{program} -m {words[2]}"
    return program if words[1].startswith("-") else f"{program} {os.path.basename(words[1])}"
