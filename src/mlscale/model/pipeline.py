"""What would happen if: a training job as a closed queueing network. Pure; the equations are in docs/model.md.

Workers prepare batches (cores: a multi-server station; the store: a delay station up to its ceiling), a bounded number
of prepared batches waits, and the training thread takes one after the other.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

MAX_WORKERS = 64
WITHIN_BEST = 0.02  # the fewest workers within this of the most that can be had (loadtune's rule; issue 2)
# The same for as many as there are cores: what the model gives to more was not seen. A third on two cores left half of the time
# that nobody computes, and took as much more CPU time (docs/model.md "Full cores"). Example job: two 1.95 times, three 1.87.
BEYOND_CORES = 0.05
HYPERTHREAD_YIELD = (
    0.25  # of a core, what its second thread adds: 0.2 to 0.3 for decoding (profiles/calibration/storage.yaml)
)
# Of a full machine's work, lost to shared caches and memory. CPU time of a batch from one busy core of two to both: +5 % on one
# machine (median of five jobs; 0 in pure Python, 15 % in HDF5), -1 % on another (nine, -4 to +4 %), 0 on a third (nine, -3 to
# +3 %): benchmarks/full_cores.py.
CROWDING = 0.03
# Of the CPU time of a reader that waits most of the time, what it spares where the cores hardly rest: after a sleep caches are
# cold, and clocks slow. Readers of late stores, and who serves them: 0.2 to 0.3 less, at 0.8 of the cores in use instead of 0.05
# (a small server 0.6): benchmarks/cold.py.
COLD = 0.25
# The same of a worker that a quota stops most of the time. From half a core to none of it, images took 0.07 less, HDF5 0.1, tar
# shards and audio 0.2 on one machine (benchmarks/cold.py); on those before, promises without it were kept. Between them.
COLD_STOPPED = 0.06
# Share of its time that a pool of threads rests, from which it holds up a loop that wakes; one that never does lets it in.
# Beside 1.98 of 2 cores in use it waited 0.1 ms, beside 1.85 0.3, beside 1.73 and less 0.5: benchmarks/wakes.py.
RESTS = 0.13
BUSY_SPREAD = 0.25  # of the number of busy cores, from one moment to the next
_FIXED_POINT = 12
NOTHING = 1e-12  # of all probability
FEW_MORE, BRINGS_NOTHING = 6, 1e-3  # workers, and the gain of them all


@dataclass(frozen=True)
class Pipeline:
    """One rank's pipeline, and its share of the machine. Times in seconds per batch."""

    workers: int  # 0: the training thread prepares each batch itself
    prefetch: int  # batches per worker that may be ready or under way
    cores: float  # that preparation and training may use together
    prepare_cpu_s: float
    store_s: float  # waiting for the store, beside others
    step_s: float  # of the training thread, everything but waiting for data
    contention_s: float = 0.0  # more of the same: waiting for a core, where all are busy when a batch is taken over
    turns_s: float = 0.0  # more of the same: waiting for a core that is busy with a thread which rests at times itself
    answer_s: float = 0.0  # more of the same: until a worker that computes hands its batch out, while cores are free
    step_cpu_s: float = 0.0  # CPU time that the training process takes from the same cores
    serving_cpu_s: float = 0.0  # and who serves the data on this machine: a FUSE mount's daemon
    store_batches_per_s: float | None = None  # the store's ceiling
    parallelism: float | None = None  # of preparation, where a lock bounds it below the cores (the GIL: 1)
    variability: float = 1.0  # mean squared coefficient of variation of the two sides; 1: exponential
    limit_cores: float = 0.0  # that one rank may have at most; 0: `cores`, whoever else wants them
    other_cores: float = 0.0  # used by other programs, for each rank of this job
    rival_groups: int = 0  # each gets as much of the cores as this job, however many its threads; 0: threads compete
    ranks: int = 1  # that share the machine, each with as many cores
    machine_cores: float = 0.0  # logical ones that its threads may run on, whatever a quota says; 0: `cores`
    threads_per_core: int = 1  # hyperthreads: two share what one core can do
    crowding: float = CROWDING  # of a full machine's work, lost to shared caches and memory
    cold: float = 0.0  # of the CPU time of preparing and serving, what is spared where no core rests any more
    cold_used: float = 0.0  # share of the cores in use where those times were seen: nothing is spared there
    worker_threads: float = 1.0  # cores that one worker can use: a second thread of its own hands its batches over

    @property
    def beside_cpu_s(self) -> float:
        """CPU time that a batch takes beside the workers'."""
        return self.step_cpu_s + self.serving_cpu_s

    @property
    def busy_cpu_s(self) -> float:
        """CPU time of a batch on cores that hardly rest."""
        return (self.prepare_cpu_s + self.serving_cpu_s) * (1 - self.cold) + self.step_cpu_s

    @property
    def limits(self) -> dict[str, float]:
        """Each stage's own ceiling, batches/s."""
        found = {"step": 1 / self.step_s if self.step_s > 0 else float("inf")}
        if self.busy_cpu_s > 0:
            found["cores"] = self.cores / self.busy_cpu_s
        if self.store_batches_per_s is not None:
            found["store"] = self.store_batches_per_s
        return found


def throughput(pipeline: Pipeline) -> float:
    """Batches per second."""
    if pipeline.workers <= 0:
        alone = pipeline.prepare_cpu_s * inflation(pipeline, 1.0) + pipeline.store_s + pipeline.step_s
        alone += pipeline.contention_s * all_busy(pipeline, 0.0)
        rate = 1 / alone if alone > 0 else float("inf")
        return min(rate, pipeline.store_batches_per_s or float("inf"), _cores_bound(pipeline))
    rate = 0.0
    # The training thread's own CPU time, the workers' and the servers' share the cores: a fixed point of their division.
    for _ in range(_FIXED_POINT):
        now = warmed(pipeline, rate)
        beside = rate * now.beside_cpu_s
        cores = max(0.05, now.cores - beside)
        if now.parallelism is not None:
            cores = min(cores, now.parallelism)
        step_s = now.step_s + taking_over_s(now, rate or _cores_bound(pipeline))
        fresh = _coupled(dataclasses.replace(now, step_s=step_s), cores, beside)
        if abs(fresh - rate) < 1e-6 * max(fresh, 1e-9):
            break
        rate = fresh if rate == 0 else (rate + fresh) / 2
    return min(rate, _cores_bound(pipeline))


def warmed(pipeline: Pipeline, rate: float) -> Pipeline:
    """The pipeline with the CPU times that it has at a rate: the more its cores are used than where those were seen, the less."""
    if not pipeline.cold:
        return pipeline
    used = rate * (pipeline.prepare_cpu_s + pipeline.beside_cpu_s) + pipeline.other_cores
    share = min(1.0, used / max(pipeline.machine_cores or pipeline.cores, 0.05))
    more = max(0.0, share - pipeline.cold_used) / max(1 - pipeline.cold_used, 1e-3)
    kept = 1 - pipeline.cold * more
    return dataclasses.replace(
        pipeline, prepare_cpu_s=pipeline.prepare_cpu_s * kept, serving_cpu_s=pipeline.serving_cpu_s * kept, cold=0.0
    )


def all_busy(pipeline: Pipeline, rate: float) -> float:
    """Probability that the training thread finds no core free when it takes a batch over.

    That moment wakes a worker, by its next order. The other workers began earlier, one each batch, so that about
    `rate x prepare_cpu_s` of them still compute: are those as many as the cores that are left?
    """
    pipeline, ranks = warmed(pipeline, rate), pipeline.ranks
    left = max(0.0, pipeline.cores * ranks - 1)
    if left <= 0:
        return 1.0
    beside = (pipeline.other_cores + rate * pipeline.serving_cpu_s) * ranks
    most = max(0, pipeline.workers * ranks - 1) * pipeline.worker_threads + beside
    busy = min(ranks * rate * pipeline.prepare_cpu_s + beside, 1e9)
    # Fewer threads than cores can never fill them.
    share = min(1.0, most / left)
    return share * _normal((busy - left) / (BUSY_SPREAD * max(left, 1.0)))


def taking_over_s(pipeline: Pipeline, rate: float) -> float:
    """What the training thread waits, per batch, while it takes one over.

    For a core, where all are busy. Where one is free, for the interpreter of the worker, as often as that computes: each
    of its answers gives the lock back, and a free core lets its main thread snatch it (the convoy of two threads).
    """
    pipeline = warmed(pipeline, rate)
    crowded = all_busy(pipeline, rate)
    computes = min(1.0, rate * pipeline.prepare_cpu_s / max(pipeline.workers, 1))
    found_s = pipeline.contention_s
    if pipeline.turns_s:
        found_s += pipeline.turns_s * min(1.0, max(0.0, 1 - rate / _most_prepared(pipeline)) / RESTS)
    return found_s * crowded + pipeline.answer_s * computes * (1 - crowded)


def _normal(deviations: float) -> float:
    """The normal distribution's probability of less than so many standard deviations."""
    return 0.5 * math.erfc(-deviations / math.sqrt(2))


def inflation(pipeline: Pipeline, busy: float) -> float:
    """CPU time of the same work with `busy` cores at work, over what it takes alone: they share memory and, as
    hyperthreads, cores."""
    total = pipeline.machine_cores or pipeline.cores
    busy = min(max(busy, 1e-6), total)
    cores = total / max(1, pipeline.threads_per_core)
    work = min(busy, cores) + HYPERTHREAD_YIELD * max(0.0, busy - cores)
    return busy / (work * (1 - pipeline.crowding * busy / total))


def _cores_bound(pipeline: Pipeline) -> float:
    cpu = pipeline.busy_cpu_s * inflation(pipeline, pipeline.cores + pipeline.other_cores)
    return pipeline.cores / cpu if cpu > 0 else float("inf")


def _most_prepared(pipeline: Pipeline) -> float:
    """Batches per second of workers that never rest."""
    takes_s = pipeline.prepare_cpu_s + pipeline.store_s
    return min(_cores_bound(pipeline), pipeline.workers / takes_s if takes_s > 0 else float("inf"))


def _coupled(pipeline: Pipeline, cores: float, beside: float) -> float:
    """The loader and the training thread through a bounded buffer: a birth-death chain over the batches that wait."""
    made = production(pipeline, cores, beside + pipeline.other_cores)
    if pipeline.step_s <= 0:
        return made[-1]
    # Regular service times need fewer places in the buffer than exponential ones for the same effect.
    places = max(1, round(pipeline.workers * pipeline.prefetch / max(pipeline.variability, 0.02)))
    orders = pipeline.workers * pipeline.prefetch
    take = 1 / pipeline.step_s
    weight, total, idle = 1.0, 1.0, 1.0
    for waiting in range(1, places + 2):
        # `waiting - 1` batches are with the training thread: the rest of the orders is with the workers.
        done = (waiting - 1) * orders / (places + 1)
        under_way = max(1, min(pipeline.workers, round(orders - done)))
        if waiting == 1:
            under_way = pipeline.workers
        weight *= made[under_way] / take
        if weight > 1e12:  # the buffer is as good as always full
            return take
        total += weight
        # Fuller buffers do not occur either: each is at most half as likely as the one before.
        if weight < NOTHING * total and made[under_way] < take / 2:
            break
    return take * (1 - idle / total)


def production(pipeline: Pipeline, cores: float, beside: float) -> list[float]:
    """Batches per second that 0, 1, 2 ... workers prepare, from the product form of cores and store (convolution).
    `beside`: cores that the training thread and other programs use meanwhile."""
    count = max(1, pipeline.workers)
    store = pipeline.store_s
    at_cores = [1.0]
    at_store = [1.0]
    for n in range(1, count + 1):
        busy = min(n * pipeline.worker_threads, max(cores, 0.05))
        at_cores.append(at_cores[-1] * pipeline.prepare_cpu_s * inflation(pipeline, busy + beside) / busy)
        # As many answers at a time as are asked for, up to the ceiling.
        pace = n / store if store > 0 else float("inf")
        if pipeline.store_batches_per_s is not None:
            pace = min(pace, pipeline.store_batches_per_s)
        at_store.append(at_store[-1] / pace if pace != float("inf") else 0.0)
    together = [sum(at_cores[i] * at_store[n - i] for i in range(n + 1)) for n in range(count + 1)]
    made = [0.0]
    for n in range(1, count + 1):
        made.append(together[n - 1] / together[n] if together[n] > 0 else 1e9)
    return made


def with_workers(pipeline: Pipeline, workers: int) -> Pipeline:
    """The same job with another number of workers. Beside other programs, more of them win a larger share of the cores."""
    cores = max(pipeline.cores, fair_cores(pipeline, workers))
    return dataclasses.replace(pipeline, workers=workers, cores=cores)


def fair_cores(pipeline: Pipeline, workers: int) -> float:
    """What the scheduler gives to `workers` that want to run, beside others. No more workers are counted than there are
    cores: to starve the others is no advice."""
    if pipeline.limit_cores <= 0:
        return pipeline.cores
    busy = pipeline.prepare_cpu_s / max(pipeline.prepare_cpu_s + pipeline.store_s, 1e-9)
    wanting = min(workers * busy, pipeline.limit_cores)
    if pipeline.rival_groups:
        return min(wanting, pipeline.limit_cores / (1 + pipeline.rival_groups))
    return pipeline.limit_cores * wanting / max(wanting + pipeline.other_cores, 1e-9)


def best_workers(pipeline: Pipeline, most: int = MAX_WORKERS) -> int:
    """The fewest workers within 2 % of the most that can be had; within 5 %, where that is as many as there are cores.

    Each further worker brings less than the one before, or harm: where a few more bring nothing, the most is among those
    that were tried, or with as many workers as can be.
    """
    rates: list[float] = []
    top = throughput(with_workers(pipeline, most))
    for workers in range(1, most + 1):
        rates.append(throughput(with_workers(pipeline, workers)))
        few_more = workers > FEW_MORE and rates[-1] < rates[-1 - FEW_MORE] * (1 + BRINGS_NOTHING)
        if few_more and max(rates) >= top * (1 - WITHIN_BEST):
            break
    best, cores = max(top, *rates), round(pipeline.cores)
    fewest = next(workers for workers, rate in enumerate(rates, 1) if rate >= best * (1 - WITHIN_BEST))
    if fewest > cores >= 1 and rates[cores - 1] >= best * (1 - BEYOND_CORES):
        return cores
    return fewest
