"""JobProfile: what a job does with its time, derived from a recording. Plain data; the ladder reads only this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlscale.measure import Measured

Activity = Literal["data", "step", "host", "save", "communication"]
WorkerActivity = Literal["compute", "run_queue", "gil_wait", "io_wait", "hand_over", "idle", "other"]
THROTTLED = 0.01  # of the time, from which a quota is felt


@dataclass(frozen=True)
class Gpu:
    """An accelerator as the driver names it. `signal` is what `busy_fraction` rests on."""

    index: int
    name: str
    memory_bytes: int | None
    mig: bool = False
    busy_fraction: float | None = None  # share of time in which any kernel ran
    sm_active_fraction: float | None = None  # GPM on Hopper and later: share of SMs doing work
    tensor_active_fraction: float | None = None
    dram_active_fraction: float | None = None
    power_fraction: float | None = None  # of the power limit
    sm_clock_fraction: float | None = None  # of the maximum SM clock
    throttle_reasons: tuple[str, ...] = ()
    signal: str = ""  # "GPM", "NVML utilisation with power and clocks", ...


@dataclass(frozen=True)
class Host:
    """The machine. Bytes and core counts."""

    hostname: str
    logical_cpus: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    instance_type: str | None = None
    container: str | None = None
    gpu_missing_reason: str | None = None  # why `gpus` is empty
    threads_per_core: int = 1  # hyperthreads among the CPUs that the job may use
    accelerator_simulated: bool = False  # the step sleeps and no GPU is visible


@dataclass(frozen=True)
class Program:
    """A program that is none of the job's."""

    pid: int
    name: str
    cores: float


@dataclass(frozen=True)
class Cpu:
    """Cores that the job may use, and who uses them. All in cores (CPU seconds per second)."""

    limit_cores: float  # min(affinity, quota, machine)
    limit_source: Literal["machine", "affinity", "quota"]
    affinity_cores: int
    quota_cores: float | None
    job_cores: float  # used by all processes of the job
    other_cores: float  # used by others on this machine, but for programs that yield to the job (nice), or serve it
    training_cores: float  # used by the training process alone (for thread loaders: without the loader's threads)
    worker_cores: float  # used by the loader's workers
    throttled_fraction: float | None  # share of time in which the quota stopped the job
    # Groups of other programs, with each of which the job shares the cores evenly, however many threads they have (the kernel's
    # autogroups: one for each session); 0: threads compete one by one, or nobody knows.
    rival_groups: int = 0
    programs: tuple[Program, ...] = ()  # the largest of the others, where they were looked for: while no core was free
    # Used by programs of this machine that serve the job's data: a FUSE mount's daemon, a cache at a local port.
    serving_cores: float = 0.0
    servers: tuple[str, ...] = ()  # their names

    @property
    def throttled(self) -> bool:
        """Whether a quota is felt. Unknown counts as not."""
        return (self.throttled_fraction or 0.0) > THROTTLED


@dataclass(frozen=True)
class Loader:
    """The data loader as it was recognised. `worker_kind` "inline": the training thread loads the data itself."""

    kind: str  # recogniser's id: "pytorch", "threads", "tfdata", ...
    label: str  # for people: "torch.utils.data.DataLoader"
    worker_kind: Literal["process", "thread", "inline"]
    workers: int  # 0 for inline
    batch_size: int | None = None  # samples per batch
    prefetch_factor: int | None = None  # batches per worker
    start_method: str | None = None  # fork, spawn, forkserver
    persistent_workers: bool | None = None


@dataclass(frozen=True)
class HandOver:
    """What a batch of a loop that loads its own data would cost to get from a worker: its bytes, and what fresh shared memory
    costs on this machine, in CPU seconds a byte."""

    batch_bytes: float
    fill_s_per_byte: float
    release_s_per_byte: float


@dataclass(frozen=True)
class FunctionShare:
    """Share of a thread's observed time spent in (or below) one function of the user's code or a library."""

    name: str
    filename: str
    line: int | None
    activity: str  # an Activity or WorkerActivity
    share: float


@dataclass(frozen=True)
class TrainingThread:
    """How the training thread's steady time divides. Fractions of the loop's time; they sum to 1."""

    data: float
    step: float
    host: float
    save: float
    communication: float
    cpu: float  # share of time on a CPU, whatever the activity
    data_cpu: float  # share of the loop's time loading data on a CPU (inline loaders: preparation)
    data_io_wait: float  # share of the loop's time loading data blocked in a store (inline loaders)
    queue: float = 0.0  # runnable without a core, whatever the activity
    queue_data: float = 0.0  # the part of `queue` within `data`
    gil: float = 0.0  # part of `host`: waiting for the interpreter lock, which the loader's threads hold
    launch: float = (
        0.0  # part of `host`: the GPU idles while the thread is in torch's part of its step, and launches kernels
    )
    start: float = 0.0  # part of `data`: starting or ending workers, at the turn of an epoch
    # Parts of `data`: computing to take a batch over from a worker (unpickling, mapping), which no worker speeds up; and
    # being blocked meanwhile, until a worker that computes has its interpreter free to hand the batch out.
    receive: float = 0.0
    receive_wait: float = 0.0
    pinned: bool = (
        False  # another thread takes batches over, to pin their memory (pin_memory=True): this one only fetches them
    )
    turns_per_s: float | None = None  # how often it was given a core
    # The GPU works while the thread waits for data, saves or exchanges: kernels were launched ahead. Part of these three.
    overlap: float = 0.0
    functions: tuple[FunctionShare, ...] = ()  # largest first
    stacks_seen: bool = True  # False: activities were inferred from states and system calls alone
    samples: int = 0
    saves_seen: int = 0  # separate saves in the window
    save_seconds: float = 0.0  # mean length of one save


@dataclass(frozen=True)
class Workers:
    """How a loader worker's time divides, averaged over workers. Fractions that sum to 1."""

    compute: float  # on a CPU
    run_queue: float  # runnable, without a core (contention or quota)
    gil_wait: float  # runnable, but another thread holds the interpreter lock
    io_wait: float  # blocked in a store
    hand_over: float  # passing a batch to the training process
    idle: float  # nothing to do: the prefetch queue is full
    other: float
    functions: tuple[FunctionShare, ...] = ()
    system_fraction: float | None = None  # share of `compute` in the kernel
    imbalance: float | None = None  # busiest worker's busy share over the mean
    samples: int = 0


@dataclass(frozen=True)
class Store:
    """A place the data comes from, and what is known of its limit."""

    kind: Literal["block", "memory", "nfs", "lustre", "beegfs", "fuse", "socket", "overlay", "other"]
    file_system: str  # "ext4", "fuse.s3fs", "nfs4", "tcp"
    where: str  # mount point, or remote address
    device: str | None = None
    example_path: str | None = None
    wait_share: float = 0.0  # share of the job's I/O wait that is spent here
    read_bytes_per_s: float | None = None
    reads_per_s: float | None = None
    waiting_threads: float | None = None  # mean number of loader threads blocked here
    seconds_per_read: float | None = None
    ceiling_bytes_per_s: float | None = None
    ceiling_reads_per_s: float | None = None
    ceiling_source: str | None = None  # "blkio.throttle.read_bps_device", "catalogue: gp3", ...
    at_ceiling: bool | None = None  # None: could not be told
    why: str = ""  # the evidence for at_ceiling, one sentence with figures
    line_busy_fraction: float | None = None  # remote: share of the time in which any answer comes in
    page_cache_bytes: int | None = None


@dataclass(frozen=True)
class Oversized:
    """Images stored larger than the model takes them (pixels), and what that costs of the workers' CPU time."""

    stored: tuple[int, int]
    used: tuple[int, int]
    decode_share: float  # of preparation CPU time spent decoding
    resize_share: float  # of preparation CPU time spent resizing
    looks: int = 0  # that the shares rest on
    crops: bool = False  # a part of each is resized, whatever the stored size; else one stored as used is only copied

    @property
    def pixels(self) -> float:
        """Used pixels over stored ones."""
        return self.used[0] * self.used[1] / (self.stored[0] * self.stored[1])

    @property
    def freed(self) -> float:
        """Share of the preparation's CPU time that goes when they are stored as they are used."""
        return self.decode_share * (1 - self.pixels) + self.resize_share * (1 - self.pixels * self.crops)


@dataclass(frozen=True)
class Demand:
    """Time that one batch takes at each stage, in seconds per batch, at the observed operating point."""

    batches_per_s: float
    worker_cpu_s: float  # preparation on a CPU (workers, or the training thread when inline)
    worker_io_s: float  # preparation blocked in the store
    hand_over_s: float  # worker blocked handing over
    step_s: float  # training step as the training thread sees it
    host_s: float
    save_s: float
    communication_s: float
    training_cpu_s: float  # CPU seconds of the training process per batch (all its threads, without preparation)
    # Relative standard error of the CPU time of a batch (of workers; where there are none, of the whole training process), by its
    # spread over the watch: how unevenly the machine works. None: too little was seen to tell.
    cpu_swing: float | None = None


@dataclass(frozen=True)
class Rank:
    """One rank of a multi-process job."""

    rank: int
    pid: int
    data: float
    step: float
    host: float
    communication: float  # waits for the other ranks


@dataclass(frozen=True)
class Job:
    """The job. `command` is redacted."""

    pid: int
    command: str
    framework: str | None
    loader: Loader | None
    ranks: tuple[Rank, ...] = ()


@dataclass(frozen=True)
class Window:
    """What was watched. `phases` are the parts left out of the steady window: (start_s, end_s, name)."""

    observed_s: float
    steady_s: float
    rate_hz: float
    phases: tuple[tuple[float, float, str], ...] = ()
    ended: str = "duration"  # "duration", "stable", "job exited", "interrupted", "recording ends"


@dataclass(frozen=True)
class JobProfile:
    """Everything the ladder may look at. A part that could not be had is None, and `warnings` says why."""

    host: Host
    job: Job
    window: Window
    cpu: Cpu | None
    training: TrainingThread | None  # None: no steady training was seen
    workers: Workers | None
    stores: tuple[Store, ...]  # most waited-for first
    demand: Demand | None  # None: the batch rate is unknown
    oversized: Oversized | None = None
    hand_over: HandOver | None = None  # None: workers do it already, or no sample was seen
    measurements: Mapping[str, Measured] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    epochs_seen: int = 0  # that began within the steady window
    not_steady_reason: str | None = None  # why `training` is None, and what to do
