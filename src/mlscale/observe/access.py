"""What this machine lets mlscale see, each tried for real, and how to open what is shut. For `mlscale doctor`."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mlscale.observe import machine, proc, storage
from mlscale.observe.gpu import Gpus
from mlscale.observe.limits import read_limits
from mlscale.observe.python.memory import Unreadable
from mlscale.observe.python.reader import Interpreter

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_NVIDIA_VENDOR = "0x10de"  # PCI id
_CAP_SYS_PTRACE = 19  # linux/capability.h
_INIT_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of linux/proc_ns.h
_READY_WITHIN_S = 2.0  # a forked child reaches its read within milliseconds


@dataclass(frozen=True)
class Access:
    """One thing that mlscale looks at. `says` is what was found, `opens` how to get what is missing ("" where nothing is)."""

    name: str
    state: Literal["open", "limited", "shut"]
    says: str
    opens: str = ""


def probe() -> tuple[Access, ...]:
    """Tries everything that `mlscale diagnose` reads. Takes some milliseconds, and up to a second with a GPU driver."""
    with subject(orphan=yama() >= 1) as pid:
        of_process = process_access(pid)
    return (
        *of_process,
        _other_users(),
        _processes(),
        _gpu(),
        _limits(),
        _pressure(),
        _disks(),
        _instance(),
    )


def yama() -> int:
    """The kernel's ptrace_scope: 0 classic, 1 children only, 2 root only, 3 nobody. 0 where Yama is not built in."""
    try:
        with open(_YAMA, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


@contextlib.contextmanager
def subject(orphan: bool) -> Iterator[int]:
    """A Python process of this user that waits in a read, to try on. `orphan`: no child of this one, as a job is none."""
    hold_read, hold_write = os.pipe()
    told_read, told_write = os.pipe()
    first = os.fork()
    if first == 0:
        _be_subject(orphan, hold_read, hold_write, told_write)
    os.close(hold_read)
    os.close(told_write)
    try:
        with open(told_read, "rb") as told:
            pid = int(told.readline())
        until = time.monotonic() + _READY_WITHIN_S
        while proc.alive(pid) and proc.stat(pid).state != "S" and time.monotonic() < until:
            time.sleep(0.001)
        yield pid
    finally:
        os.close(hold_write)  # ends its read, and so the process
        os.waitpid(first, 0)


def _be_subject(orphan: bool, hold_read: int, hold_write: int, told_write: int) -> None:
    """The forked side. Never returns, and runs nothing of the parent's clean-up."""
    try:
        if orphan and os.fork():
            os._exit(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
        os.close(hold_write)
        os.write(told_write, b"%d\n" % os.getpid())
        os.close(told_write)
        os.read(hold_read, 1)
    finally:
        os._exit(0)


def process_access(pid: int) -> tuple[Access, ...]:
    """What can be read of one process that waits in a system call."""
    opens = _open_memory()
    return (_stacks(pid, opens), _waits(pid, opens), _io(pid, opens), _queue(pid))


def _stacks(pid: int, opens: str) -> Access:
    name = "Python stacks and batch counters (process memory)"
    try:
        interpreter = Interpreter(pid)
    except Unreadable as error:
        return Access(name, "shut", f"{error}; causes are told from thread states alone, with less confidence", opens)
    try:
        stacks = [interpreter.stack(thread) for thread in interpreter.threads().values()]
    finally:
        interpreter.close()
    version = ".".join(map(str, interpreter.version))
    if not any(stacks):
        return Access(name, "shut", f"the memory can be read, but no stack of Python {version} was found in it", "")
    return Access(name, "open", f"a stack of Python {version} was read")


def _waits(pid: int, opens: str) -> Access:
    name = "What threads wait in (/proc/PID/syscall)"
    files = proc.ThreadFiles(pid, pid)
    try:
        call = files.syscall()
    finally:
        files.close()
    if call is None:
        if not os.path.exists("/proc/self/syscall"):
            return Access(name, "shut", "this kernel has no such file; waits for a store may go unnamed")
        return Access(name, "shut", "the kernel refuses it; waits for a store may go unnamed", opens)
    target = proc.descriptor(pid, call[1]) if call[0] in proc.FD_FIRST else None
    if target is None:
        return Access(name, "limited", f"system call {call[0]} was seen, the file behind it was not", opens)
    return Access(name, "open", f"a wait in system call {call[0]} was traced to its descriptor")


def _io(pid: int, opens: str) -> Access:
    name = "Bytes read by the job (/proc/PID/io)"
    if proc.io_counters(pid) is None:
        return Access(
            name, "shut", "refused, or the kernel does not keep it; the share from the page cache is unknown", opens
        )
    return Access(name, "open", "the counters were read")


def _queue(pid: int) -> Access:
    name = "Waits for a core (schedstat)"
    files = proc.ThreadFiles(pid, pid)
    try:
        on_cpu, _, _ = files.schedule()
    finally:
        files.close()
    if not on_cpu:
        return Access(
            name,
            "shut",
            "the kernel keeps no count; crowded cores are told from thread states alone",
            "sudo sysctl kernel.sched_schedstats=1, where the kernel has it",
        )
    return Access(name, "open", "the counters were read")


def _open_memory() -> str:
    """How to let this user read the memory of the user's own processes, as this machine is set."""
    scope = yama()
    ways = ["run mlscale as root (sudo)"]
    if scope == 1:
        ways += [
            f"sudo sysctl kernel.yama.ptrace_scope=0 (it is {scope})",
            "launch the job with `mlscale diagnose -- COMMAND`",
        ]
    elif scope >= 2:
        ways.append(
            f"kernel.yama.ptrace_scope is {scope}: only root may{' not either, until a reboot' if scope > 2 else ''}"
        )
    if read_limits(os.getpid()).container:
        ways.append("in a container: docker run --cap-add SYS_PTRACE, or capabilities.add: [SYS_PTRACE] in Kubernetes")
    return "; or ".join(ways)


def _other_users() -> Access:
    name = "Jobs of other users"
    if _capable(_CAP_SYS_PTRACE) and os.geteuid() == 0:
        return Access(name, "open", "this is root")
    if os.geteuid() == 0:
        return Access(
            name,
            "limited",
            "this is root without the capability SYS_PTRACE: other users' memory is refused",
            "docker run --cap-add SYS_PTRACE, or run mlscale as the job's user",
        )
    return Access(
        name,
        "limited",
        f"user {os.geteuid()} sees the memory of its own processes only",
        "sudo mlscale, or run it as the job's user",
    )


def _capable(capability: int) -> bool:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            line = next(line for line in file if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return False
    return bool(int(line.split()[1], 16) >> capability & 1)


def _processes() -> Access:
    name = "Processes of this machine"
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    if not os.path.exists("/proc/1"):
        return Access(
            name,
            "limited",
            "/proc hides the processes of others (hidepid)",
            "sudo mlscale, or name a job of your own with --pid",
        )
    if namespace and namespace != _INIT_PID_NAMESPACE:
        return Access(
            name,
            "limited",
            "this is a process namespace of its own (a container): processes outside of it are not seen",
            "run mlscale where the job runs (docker exec, kubectl exec), or with --pid=host",
        )
    return Access(name, "open", f"{sum(entry.isdigit() for entry in os.listdir('/proc'))} processes are seen")


def _gpu() -> Access:
    name = "GPU counters (NVML)"
    gpus = Gpus()
    try:
        if not gpus.count:
            if not _has_nvidia_device():
                return Access(
                    name, "shut", f"{gpus.reason}; nor is an NVIDIA GPU on its PCI bus, so there is none to see"
                )
            return Access(
                name,
                "shut",
                f"{gpus.reason}, though the machine has an NVIDIA GPU",
                "install the NVIDIA driver; in a container: docker run --gpus all, or nvidia.com/gpu in Kubernetes",
            )
        facts = gpus.facts()
        samples = [gpus.sample(index) for index in range(gpus.count)]
        holders = {pid for pids in gpus.holders().values() for pid in pids}
    finally:
        gpus.close()
    names = ", ".join(dict.fromkeys(str(fact["name"]) for fact in facts))
    says = f"{gpus.count} × {names}, driver {facts[0].get('driver', 'unknown')}"
    lost = [str(sample["lost"]) for sample in samples if "lost" in sample]
    if lost:
        return Access(
            name, "limited", f"{says}; {lost[0]}", "see dmesg; a GPU that is lost comes back with a reset or a reboot"
        )
    wanted = {"busy": "utilisation", "memory_used_bytes": "memory", "power_w": "power", "sm_clock_mhz": "clocks"}
    absent = [word for key, word in wanted.items() if any(key not in sample for sample in samples)]
    units = (
        "with unit counters (GPM)"
        if all(fact["gpm"] for fact in facts)
        else "without unit counters (GPM needs Hopper or later)"
    )
    if absent:
        return Access(name, "limited", f"{says}; the driver does not tell {', '.join(absent)}", "")
    if holders and not all(proc.alive(pid) for pid in holders):
        return Access(
            name,
            "limited",
            f"{says}, {units}; the processes that hold it are outside of this container",
            "run with --pid=host, or name the job with --pid",
        )
    return Access(name, "open", f"{says}, {units}")


def _has_nvidia_device() -> bool:
    folder = "/sys/bus/pci/devices"
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    for device in names:
        try:
            with (
                open(f"{folder}/{device}/vendor", encoding="ascii") as vendor,
                open(f"{folder}/{device}/class", encoding="ascii") as kind,
            ):
                if vendor.read().strip() == _NVIDIA_VENDOR and kind.read().startswith(
                    "0x03"
                ):  # display or 3D controller
                    return True
        except OSError:
            continue
    return False


def _limits() -> Access:
    name = "The container's limits (cgroup)"
    limits = read_limits(os.getpid())
    if not os.path.isdir("/sys/fs/cgroup") or not os.listdir("/sys/fs/cgroup"):
        return Access(
            name,
            "shut",
            "/sys/fs/cgroup is not mounted: a CPU quota would go unseen",
            "mount it read-only (docker does by default)",
        )
    found = []
    if limits.quota_cores is not None:
        found.append(f"a quota of {limits.quota_cores:g} cores")
    if limits.memory_limit_bytes is not None:
        found.append(f"{limits.memory_limit_bytes / 2**30:.1f} GiB of memory")
    if limits.io:
        found.append("limits on devices")
    return Access(
        name, "open", f"cgroup v{limits.version}, {' and '.join(found) if found else 'no limit on this process'}"
    )


def _pressure() -> Access:
    name = "Pressure (PSI)"
    absent = []
    for resource in ("cpu", "io", "memory"):
        try:
            with open(f"/proc/pressure/{resource}", "rb") as file:
                file.read(1)
        except OSError:
            absent.append(resource)
    if not absent:
        return Access(name, "open", "cpu, io and memory were read")
    return Access(
        name,
        "shut" if len(absent) == 3 else "limited",
        f"the kernel does not tell the pressure on {', '.join(absent)}",
        "boot with psi=1, on Linux 4.20 or later",
    )


def _disks() -> Access:
    name = "Disks (/proc/diskstats)"
    disks = storage.disk_counters()
    if not disks:
        return Access(name, "shut", "the counters cannot be read: whether a disk is at its limit stays open")
    return Access(name, "open", f"{len(disks)} devices are counted")


def _instance() -> Access:
    name = "EC2 instance type (firmware)"
    found = machine.instance_type()
    if found:
        return Access(name, "open", found)
    return Access(name, "shut", "the firmware names no EC2 instance: fine on any other machine")
