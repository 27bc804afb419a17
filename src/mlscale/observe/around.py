"""What is around a job's threads: its processes' totals, the machine, other programs, the stores that are waited for."""

from __future__ import annotations

from mlscale.observe import beside, machine, proc, storage
from mlscale.observe.limits import Limits
from mlscale.observe.pace import is_full
from mlscale.observe.process import Watched
from mlscale.observe.serving import Place, Serving
from mlscale.observe.tree import Tree
from mlscale.recording import Fact, MachineSample, ProcessSample, Recorder

BESIDE_OVER_S = 3.0  # over which the CPU time of other programs is compared


class Around:
    """The surroundings in one watch."""

    def __init__(self, root: int, tree: Tree, limits: Limits, recorder: Recorder) -> None:
        self.full = False  # no core was free
        self._root, self._tree, self._limits, self._recorder = root, tree, limits, recorder
        self._machine: MachineSample | None = None  # the last one
        self._cpu_s: dict[int, float] = {}  # of the job's processes then
        self._beside: tuple[float, dict[int, float]] | None = None  # when, and CPU seconds of other programs then
        self._disks: set[str] = set()
        self._stores: set[str] = set()
        self._served: list[Place] = []  # FUSE mounts
        self._serving = Serving()

    def read(self, now: float, *, training: bool) -> None:
        """Records the totals. `training`: whether the loop runs; only then other programs matter."""
        job = {pid: self._process_sample(process, now) for pid, process in self._tree.processes.items()}
        values, company = machine.sample(self._limits, self._disks), False
        serving = self._serving.cpu_s()
        if serving is not None:
            values["serving_cpu_s"] = serving
        sample = MachineSample(now, values)
        if self._machine is not None:
            before, seconds = self._machine.values, now - self._machine.t
            self.full = is_full(before, values, seconds)
            own_s = sum(cpu_s - self._cpu_s.get(pid, 0.0) for pid, cpu_s in job.items() if cpu_s is not None)
            own_s += (serving or 0.0) - before.get("serving_cpu_s", 0.0)
            if "cpu_s" in before and "cpu_s" in values:
                company = beside.is_company(values["cpu_s"] - before["cpu_s"], own_s, seconds)
        self._machine = sample
        self._cpu_s = {pid: cpu_s for pid, cpu_s in job.items() if cpu_s is not None}
        self._recorder.add(sample)
        if (self.full or company) and training:
            self._look_beside(now)

    def notice_stores(self, now: float) -> None:
        """Records each place that threads waited for, once, and begins to count its device; and who serves it on this machine."""
        for process in self._tree.processes.values():
            for target, path in list(process.waits.examples.items()):
                if target in self._stores:
                    continue
                self._stores.add(target)
                mount = process.waits.mount(target)
                if mount is not None:
                    self._record_store(now, target, path, mount)
                    if mount.kind == "fuse":
                        self._served.append(Place(target, mount))
        # Only workers are sure to wait for data at a socket: a rank also waits for the others.
        remote = {target for process in self._tree.of_role("worker") for target in process.waits.remote}
        places = [*self._served, *map(Place, sorted(remote))]
        for found in self._serving.search(places, self._tree.processes, self._root, now):
            self._recorder.add(Fact(now, "serving", found))

    def _record_store(self, now: float, target: str, path: str, mount: storage.Mount) -> None:
        disk = storage.whole_disk(mount.device)
        facts: dict[str, object] = {
            "target": target,
            "kind": mount.kind,
            "file_system": mount.file_system,
            "where": mount.point,
            "source": mount.source,
            "path": path,
            "device": disk,
        }
        if mount.kind == "block":
            self._disks.add(disk)
            facts["disk"] = storage.device_facts(mount.device)
        self._recorder.add(Fact(now, "store", facts))

    def _look_beside(self, now: float) -> None:
        """Names the other programs that take the cores: compares two readings, once."""
        own = {*self._tree.processes, *self._serving.pids}
        if self._beside is None:
            self._beside = (now, beside.cpu_by_process(own))
        elif self._beside[1] and now - self._beside[0] >= BESIDE_OVER_S:
            then, before = self._beside
            programs = beside.busiest(before, beside.cpu_by_process(own), now - then)
            self._recorder.add(Fact(now, "beside", {"programs": programs, "group": beside.share_group(self._root)}))
            self._beside = (now, {})  # asked and answered

    def _process_sample(self, process: Watched, now: float) -> float | None:
        """Its CPU seconds so far; None where it has ended."""
        try:
            stat = proc.stat(process.pid)
        except ProcessLookupError:
            return None
        io = proc.io_counters(process.pid) or {}
        self._recorder.add(
            ProcessSample(
                now,
                process.pid,
                stat.cpu_s,
                stat.system_s,
                io.get("rchar"),
                io.get("syscr"),
                io.get("read_bytes"),
                stat.major_faults,
                stat.threads,
                stat.rss_bytes,
            )
        )
        return stat.cpu_s
