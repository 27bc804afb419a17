"""The processes of a job and their roles: which train, which prepare data, which only help."""

from __future__ import annotations

from mlscale.loaders.kind import Where, on_stack
from mlscale.loaders.processes import PROCESSES
from mlscale.loaders.pytorch import PYTORCH
from mlscale.observe import proc
from mlscale.observe.peers import Peers
from mlscale.observe.process import Watched, stack_of
from mlscale.recording import ProcessGone, ProcessSeen, Recorder, Stack
from mlscale.redact import redact_command

_TRACKERS = ("resource_tracker", "semaphore_tracker")
_FORK_SERVER = (Where("main", "multiprocessing/forkserver.py"),)
_FORK_SERVED = (Where("_serve_one", "multiprocessing/forkserver.py"),)  # a child of it, which keeps its parent's frames
# In the command of a child of multiprocessing that imports everything first, before it runs anything.
_STARTS_ANEW = ("--multiprocessing-fork", "multiprocessing.forkserver")
# A parent that only waits for the processes it started: torchrun, torch.multiprocessing.spawn, subprocess, accelerate.
_LAUNCHER = (
    Where("*", "torch/distributed/elastic/agent/server/api.py"),
    Where("ProcessContext.join", "torch/multiprocessing/spawn.py"),
    Where("BaseProcess.join", "multiprocessing/process.py"),
    Where("Popen.wait", "/subprocess.py"),
    Where("Popen.communicate", "/subprocess.py"),
)
_CHILD = (Where("BaseProcess._bootstrap", "multiprocessing/process.py"),)
_FORKED = (Where("Popen._launch", "multiprocessing/popen_fork.py"),)
# A child is there before it becomes the program that it is to run: it has its parent's memory, stack and command.
_BECOMES_ANOTHER = (
    Where("spawnv_passfds", "multiprocessing/util.py"),
    Where("Popen._execute_child", "/subprocess.py"),
)
_SURE_REFUSED = 2  # looks at a child: one alone may have met it as it became another program
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_RANK = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")


class Tree:
    """The processes below `root`, kept up to date. Records who comes and goes."""

    def __init__(self, root: int, recorder: Recorder) -> None:
        self.root = root
        self.processes: dict[int, Watched] = {}
        self._recorder = recorder
        self._peers = Peers()

    def update(self, t: float, *, full: bool) -> None:
        """Looks for new and ended processes. Not `full`: only children of main threads, which is much cheaper."""
        alive = proc.tree_of(self.root) if full else self._quick()
        for pid in list(self.processes):
            # A look at a process that is gone says so by itself; asking each one each second would cost more than that.
            if pid not in alive and (self.processes[pid].lost or (full and not proc.alive(pid))):
                self.processes.pop(pid).close()
                self._recorder.add(ProcessGone(t, pid))
        for pid in alive:
            if pid not in self.processes:
                try:
                    parent = proc.stat(pid).parent
                except ProcessLookupError:
                    continue
                self.processes[pid] = Watched(pid, parent, self._recorder, self._peers)
        for process in list(self.processes.values()):
            if process.role is None:
                process.attach()
        for process in list(self.processes.values()):
            if process.role is None:
                self._assign(process, t)

    def of_role(self, role: str) -> list[Watched]:
        """Processes of one role."""
        return [process for process in self.processes.values() if process.role == role]

    def _quick(self) -> list[int]:
        found = [self.root]
        for pid in found:
            process = self.processes.get(pid)
            if process is None or process.role in (None, "training", "launcher") or process.starts_workers:
                found.extend(child for child in proc.main_children_of(pid) if child not in found)
        return found

    def _assign(self, process: Watched, t: float) -> None:
        parent = self.processes.get(process.parent)
        if parent is not None and parent.starts_workers:
            parent = self.processes.get(parent.parent)  # a fork server starts them for another
        role = self._role(process, parent)
        if role is None:
            return
        process.role = role
        facts: dict[str, object] = {"rank": rank_of(process.pid)}
        if process.unreadable:
            facts["unreadable"] = process.unreadable
        if process.interpreter is not None:
            facts["python"] = ".".join(map(str, process.interpreter.version))
        if role == "training":
            visible = proc.environment(process.pid, (_VISIBLE,)).get(_VISIBLE)
            if visible is not None:
                facts["visible_gpus"] = visible
        if role == "worker":
            facts["spawned"] = any("spawn_main" in word or "forkserver" in word for word in process.command)
        self._recorder.add(ProcessSeen(t, process.pid, process.parent, role, redact_command(process.command), facts))

    def _role(self, process: Watched, parent: Watched | None) -> str | None:
        if any(mark in word for word in process.command for mark in _TRACKERS):
            return "helper"
        name = proc.thread_name(process.pid, process.pid)
        if process.interpreter is None:
            return self._role_unread(process, parent, name)
        stack = stack_of(process.frames(process.pid))
        if not stack:  # still starting
            process.refresh()
            if not process.tids:  # or its memory was opened just before it became another program
                process.detach()
            return None
        if on_stack(stack, _BECOMES_ANOTHER):
            process.detach()
            return None
        started_by = self.processes.get(process.parent)
        if on_stack(stack, _FORK_SERVER) and not on_stack(stack, _FORK_SERVED):
            if started_by is not None and started_by.starts_workers:
                return None  # it was just forked
            process.starts_workers = True
            return "helper"
        if on_stack(stack, _FORKED) and not on_stack(stack, _CHILD):
            return None  # it, or a child of it, was just forked
        if on_stack(stack, PYTORCH.worker_roots) or name.startswith("pt_data_worker"):
            return "worker"
        if on_stack(stack, PROCESSES.worker_roots[:2]):
            return "worker"
        trains_below = parent is not None and parent.role == "training"
        own_rank = rank_of(process.pid) not in (None, rank_of(process.parent))
        if on_stack(stack, _CHILD) and trains_below and not own_rank and not _holds_a_rank(stack):
            # It was just forked: what it runs shows only once it got there.
            return "worker" if len(stack) > 3 else None
        if not on_stack(stack, _CHILD) and any(mark in word for word in process.command for mark in _STARTS_ANEW):
            return None  # still importing
        if parent is not None and parent.role in ("training", "worker"):
            return "helper"
        if on_stack(stack, _LAUNCHER) and self._python_children(process):
            return "launcher"
        return "training"

    def _python_children(self, process: Watched) -> bool:
        children = [p for p in self.processes.values() if p.parent == process.pid]
        return any(child.interpreter is not None or child.role == "training" for child in children)

    def _role_unread(self, process: Watched, parent: Watched | None, name: str) -> str | None:
        """Without its Python: by the name of its main thread and by who started it."""
        if name.startswith("pt_data_worker"):
            return "worker"
        if "not started" in (process.unreadable or ""):
            return None
        if parent is not None and parent.role == "training" and process.refused < _SURE_REFUSED:
            return None  # it may just become another program
        looks_python = "python" in (proc.executable(process.pid) or name)
        if not looks_python:
            return "launcher" if parent is None or parent.role == "launcher" else "helper"
        if parent is not None and parent.role == "training":
            forked = process.command == parent.command
            spawned = any("spawn_main" in word or "forkserver" in word for word in process.command)
            return "worker" if forked or spawned else "helper"
        return "training"


def rank_of(pid: int) -> int | None:
    """The rank that the launcher gave to a process, from its environment as it started; None without one."""
    found = proc.environment(pid, _RANK)
    for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "LOCAL_RANK"):
        if found.get(name, "").isdigit():
            return int(found[name])
    return None


def _holds_a_rank(stack: Stack) -> bool:
    """Whether a child of multiprocessing trains: it is in a loader's `__next__`, or in torch's layers."""
    return on_stack(stack, PYTORCH.waits) or any(
        "/torch/distributed/" in f.filename or "/torch/optim/" in f.filename for f in stack
    )
