"""Where the data lives: path -> mount -> file system -> device, and the counters that the kernel keeps of it."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

_KINDS = {
    "tmpfs": "memory",
    "ramfs": "memory",
    "hugetlbfs": "memory",
    "nfs": "nfs",
    "nfs4": "nfs",
    "lustre": "lustre",
    "beegfs": "beegfs",
    "overlay": "overlay",
}
_SECTOR_BYTES = 512  # the unit of /proc/diskstats, whatever the device's own


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo. `kind` is a Store.kind; `device` is "major:minor"."""

    point: str
    kind: str
    file_system: str
    source: str
    device: str


@dataclass(frozen=True)
class DiskCounters:
    """Cumulative counters of one block device (/proc/diskstats). Times in seconds."""

    reads: int
    read_bytes: int
    read_s: float  # summed over requests
    in_flight: int
    busy_s: float
    queue_s: float  # time-weighted queue length


def mounts(pid: int) -> tuple[Mount, ...]:
    """The mounts as the process sees them, longest mount point first. () where they may not be read."""
    try:
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, (file_system, source) = before.split(" "), after.split(" ")[:2]
        kind = _KINDS.get(file_system)
        if kind is None:
            kind = "fuse" if file_system.startswith("fuse") else "block" if source.startswith("/dev/") else "other"
        point = fields[4].replace("\\040", " ")
        found.append(Mount(point, kind, file_system, source, fields[2]))
    return tuple(sorted(found, key=lambda mount: -len(mount.point)))


def mount_of(path: str, table: tuple[Mount, ...]) -> Mount | None:
    """The mount a path lies on: the longest mount point that is a prefix of it."""
    for mount in table:
        if path == mount.point or path.startswith(mount.point.rstrip("/") + "/"):
            return mount
    return None


def disk_counters() -> dict[str, DiskCounters]:
    """ "major:minor" -> counters, of every block device. {} where they may not be read."""
    try:
        with open("/proc/diskstats", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return {}
    return {
        f"{f[0]}:{f[1]}": DiskCounters(
            int(f[3]), int(f[5]) * _SECTOR_BYTES, int(f[6]) / 1e3, int(f[11]), int(f[12]) / 1e3, int(f[13]) / 1e3
        )
        for f in lines
        if len(f) >= 14
    }


def whole_disk(device: str) -> str:
    """The disk that a partition belongs to, as "major:minor": limits and queues are the disk's."""
    folder = f"/sys/dev/block/{device}"
    try:
        if os.path.exists(f"{folder}/partition"):
            with open(f"{folder}/../dev", encoding="ascii") as file:
                return file.read().strip()
    except OSError:
        pass
    return device


def device_facts(device: str) -> dict[str, object]:
    """Name, model and whether it spins, of a block device. Keys are absent where sysfs has no answer."""
    folder = f"/sys/dev/block/{whole_disk(device)}"
    facts: dict[str, object] = {}
    try:
        facts["name"] = os.path.basename(os.readlink(folder))
    except OSError:
        return facts
    for key, name in (
        ("model", "device/model"),
        ("rotational", "queue/rotational"),
        ("queue_depth", "queue/nr_requests"),
    ):
        try:
            with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:
                facts[key] = file.read().strip()
        except OSError:
            continue
    return facts


_TCP_ESTABLISHED, _TCP_LISTEN = "01", "0A"


def tcp_peers(pid: int, table: str) -> dict[str, str | None]:
    """Socket inode -> "address:port" of the peer, None for a listener, of the process's network namespace. `table`: tcp, tcp6."""
    peers: dict[str, str | None] = {}
    for row in _tcp_rows(pid, table):
        if row[3] == _TCP_ESTABLISHED:
            peers[row[9]] = _end(row[2])
        elif row[3] == _TCP_LISTEN:
            peers[row[9]] = None
    return peers


def tcp_ends(pid: int, addresses: Collection[str]) -> dict[str, str]:
    """Inode -> "address:port", of the sockets whose own end is one of these, in the process's network namespace: connections to
    it, and who listens at that port. An address that nothing is connected to from here is elsewhere, and has none."""
    rows = [row for table in ("tcp", "tcp6") for row in _tcp_rows(pid, table)] if addresses else []
    found = {row[9]: end for row in rows if row[3] == _TCP_ESTABLISHED and (end := _end(row[1])) in addresses}
    ports = {address.rpartition(":")[2]: address for address in found.values()}
    for row in rows:
        port = _end(row[1]).rpartition(":")[2]
        if row[3] == _TCP_LISTEN and port in ports:
            found[row[9]] = ports[port]
    found.pop("0", None)  # not accepted yet
    return found


def _tcp_rows(pid: int, table: str) -> list[list[str]]:
    """Fields of the lines of /proc/PID/net/tcp or tcp6; [] where it may not be read."""
    try:
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            return [line.split() for line in file][1:]
    except OSError:
        return []


def _end(text: str) -> str:
    """ "address:port" of one of the kernel's."""
    address, port = text.split(":")
    return f"{_address(address)}:{int(port, 16)}"


def _address(text: str) -> str:
    raw = b"".join(bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8))
    if len(raw) == 4:
        return ".".join(str(byte) for byte in raw)
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return ".".join(str(byte) for byte in raw[12:])
    import ipaddress

    return f"[{ipaddress.IPv6Address(raw)}]"
