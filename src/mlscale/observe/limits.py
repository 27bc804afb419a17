"""What bounds the job: the container's CPU quota, memory and I/O limits, through cgroup v1 and v2."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IoLimit:
    """A cgroup's limit on one block device. `source` is the file that says so."""

    device: str  # "major:minor"
    read_bytes_per_s: float | None
    reads_per_s: float | None
    source: str


@dataclass(frozen=True)
class Limits:
    """All limits that bind a process. None where there is none, or it could not be read (`unread` names those)."""

    quota_cores: float | None
    quota_path: Path | None  # the directory whose cpu.stat counts the throttling
    memory_limit_bytes: int | None
    io: tuple[IoLimit, ...]
    version: int  # 1, 2
    container: str | None


def read_limits(pid: int) -> Limits:
    """The limits on a process: the tightest along its cgroup's path up to the root."""
    mounts = _cgroup_mounts(pid)
    quota: tuple[float, Path] | None = None
    memory: int | None = None
    io: list[IoLimit] = []
    groups = _groups(pid)
    version = 2 if set(groups) == {""} else 1
    for controller, path in groups.items():
        for name in [""] if controller == "" else controller.split(","):
            for folder in _ancestry(mounts.get(name), path):
                if name in ("", "cpu"):
                    cores = _quota(folder)
                    if cores is not None and (quota is None or cores < quota[0]):
                        quota = (cores, folder)
                if name in ("", "memory"):
                    limit = _memory(folder)
                    memory = limit if memory is None else min(memory, limit or memory)
                if name in ("", "blkio"):
                    io.extend(_io(folder))
    return Limits(
        quota[0] if quota else None, quota[1] if quota else None, memory, tuple(io), version, _container(pid, groups)
    )


def throttled_s(folder: Path | None) -> float | None:
    """Cumulative seconds for which the quota stopped the group (cpu.stat), None where it is not counted."""
    if folder is None:
        return None
    for line in _read(folder / "cpu.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == "throttled_usec":
            return int(value) / 1e6
        if key == "throttled_time":
            return int(value) / 1e9
    return None


def _groups(pid: int) -> dict[str, str]:
    """Controllers -> path, from /proc/PID/cgroup; "" is the unified (v2) hierarchy."""
    groups = {}
    for line in _read(Path(f"/proc/{pid}/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        groups[controllers] = path
    return groups


def _cgroup_mounts(pid: int) -> dict[str, list[tuple[str, Path]]]:
    """Controller -> [(root inside the hierarchy, mount point)], as this process can reach them."""
    mounts: dict[str, list[tuple[str, Path]]] = {}
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, point = before.split(" ")[3:5]
        names = [""] if kind == "cgroup2" else options.rsplit(" ", 1)[-1].split(",")
        for name in names:
            mounts.setdefault(name, []).append((root, Path(point)))
    return mounts


def _ancestry(mounts: list[tuple[str, Path]] | None, path: str) -> list[Path]:
    """The directories from a group up to its hierarchy's root, as far as they are mounted here."""
    for root, point in mounts or []:
        inside = path
        if root != "/":
            # In a container the hierarchy is mounted from the container's own group on.
            inside = path[len(root) :] if path.startswith(root) else "/"
        folder = point / inside.lstrip("/")
        found = []
        while True:
            if folder.is_dir():
                found.append(folder)
            if folder == point or point not in folder.parents:
                break
            folder = folder.parent
        if found:
            return found
    return []


def _quota(folder: Path) -> float | None:
    v2 = _read(folder / "cpu.max").split()
    if len(v2) == 2 and v2[0] != "max":
        return int(v2[0]) / int(v2[1])
    quota = _read(folder / "cpu.cfs_quota_us").strip()
    if quota and int(quota) > 0:
        return int(quota) / int(_read(folder / "cpu.cfs_period_us"))
    return None


def _memory(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        text = _read(folder / name).strip()
        if text.isdigit() and int(text) < 1 << 60:  # v1 writes a number near 2**63 for "no limit"
            return int(text)
    return None


def _io(folder: Path) -> list[IoLimit]:
    found: dict[str, dict[str, float]] = {}
    for name, key in (("read_bps_device", "rbps"), ("read_iops_device", "riops")):
        for line in _read(folder / f"blkio.throttle.{name}").splitlines():
            device, _, value = line.partition(" ")
            if value.strip().isdigit():
                found.setdefault(device, {})[key] = float(value)
    source = f"{folder}/blkio.throttle"
    for line in _read(folder / "io.max").splitlines():
        device, *pairs = line.split()
        source = f"{folder}/io.max"
        for pair in pairs:
            key, _, value = pair.partition("=")
            if value.isdigit() and key in ("rbps", "riops"):
                found.setdefault(device, {})[key] = float(value)
    return [IoLimit(device, v.get("rbps"), v.get("riops"), source) for device, v in found.items()]


def _container(pid: int, groups: dict[str, str]) -> str | None:
    """The container's kind as its traces show it, None on a plain host."""
    paths = " ".join(groups.values())
    for mark, name in (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("lxc", "lxc")):
        if mark in paths:
            return name
    root = f"/proc/{pid}/root"
    if os.path.exists(f"{root}/.dockerenv"):
        return "docker"
    if os.path.exists(f"{root}/run/.containerenv"):
        return "podman"
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
