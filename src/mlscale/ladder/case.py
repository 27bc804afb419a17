"""The case before the ladder: the job's profile, its model, and what follows from both. Pure."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial

from mlscale.ladder.result import Bottleneck
from mlscale.measure import value_of
from mlscale.model.pipeline import Pipeline, best_workers, throughput, with_workers
from mlscale.model.speedup import SpeedUp
from mlscale.model.whatif import (
    CONTENTION,
    FILLED_TWICE,
    HAND_OVER_COST,
    HAND_OVER_ERROR,
    LEAST_HAND_OVER_S,
    LEAST_TAKE_OVER_S,
    MOVED_CPU_ERROR,
    SIZED_HAND_OVER_ERROR,
    TAKE_OVER_SHARE,
    Known,
    pipeline_of,
    speedup,
)
from mlscale.profile.job import JobProfile, Rank, Store

# The GPU "hardly waits" when the loop loses less than this in all, or no single cause takes as much as the second.
WAIT_TOTAL = 0.10  # a saturated GPU is one above 90 % (nvsonar's and TraceML's bounds, research/diagnosing.md)
WAIT_LARGEST = 0.07
LAGS = 0.10  # a rank that waits this much less for the others than the next is the one that lags
HOST_LARGEST = 0.15  # each loop has some Python, and takes its batches over: a cause only where it is plain
USED_UP = 0.85  # of the cores: beyond, threads wait for one more often than they find one
COMPANY = 0.1  # of the machine's cores, from which other programs are worth naming
WORTH = 1.10  # a step that brings less than this is none: a tenth is what a rerun can tell from noise
FAST_STORE_ERROR = 0.05  # of a promise about another store: calibrated, docs/model.md "Errors"
CORES_ERROR = 0.03  # of the cores that can be had: what others use changes
TURNOVER_LEAST = 0.5  # of the gain from workers that outlive an epoch: the loop's own work between epochs stays
STORE_LEFT = 0.02  # of the waiting that stays on a local store: flash answers in 0.1 ms where others take 5 to 50
# Twice that on a slow one, which is a guess; nothing where the data is in memory (a RAM disk, or the page cache after an epoch).
STORE_LEFT_MOST = 2 * STORE_LEFT
# CPU time of reading a local file: 0.04 to 0.3 ns a byte, cached or not, by the size of the reads (benchmarks/local_read.py).
LOCAL_READ_S_PER_BYTE = 0.1e-9
# Of the CPU time at lines that wait for a remote store; the rest may be the job's own work. Halfway: nothing tells it.
RECEIVING_LEAST = 0.5


@dataclass(frozen=True)
class Case:
    """A profile with its what-ifs. Speed-ups are None where the model's inputs were not seen."""

    profile: JobProfile
    known: Known | None
    best_workers: int | None
    more_workers: SpeedUp | None
    faster_store: SpeedUp | None
    endless_cores: SpeedUp | None
    faster_step: SpeedUp | None
    bottleneck: Bottleneck = "inconclusive"

    @property
    def store(self) -> Store | None:
        """The store that is waited for most."""
        return self.profile.stores[0] if self.profile.stores else None

    @property
    def workers(self) -> int:
        """Loader workers now."""
        loader = self.profile.job.loader
        return loader.workers if loader is not None else 0

    @property
    def inline(self) -> bool:
        """Whether the training thread prepares its data itself."""
        loader = self.profile.job.loader
        return loader is not None and loader.worker_kind == "inline"

    @property
    def too_small_to_hand_over(self) -> bool:
        """Whether the training thread makes its batches in less time than it takes to get them from a worker."""
        known = self.known
        if known is None or not known.timed or not self.inline:
            return False
        return known.pipeline.prepare_cpu_s + known.pipeline.store_s < LEAST_TAKE_OVER_S

    @property
    def turnover(self) -> float:
        """Share of the time that the loop waits at the turn of an epoch: what the pipeline at work does not explain."""
        known, loader, demand = self.known, self.profile.job.loader, self.profile.demand
        if known is None or demand is None or loader is None or not loader.workers or not self.profile.epochs_seen:
            return 0.0
        if loader.persistent_workers:
            return 0.0
        lost = 1 - demand.batches_per_s / max(throughput(known.pipeline), 1e-9)
        return max(self.share("start"), min(lost, self.lost("data")))

    def share(self, name: str) -> float:
        """A share of the training thread's time, 0 where there was no training."""
        thread = self.profile.training
        return float(getattr(thread, name)) if thread is not None else 0.0

    @property
    def cores_used_up(self) -> bool:
        """Whether preparation could get no more of the cores, the quota included. Unknown counts as not."""
        cpu = self.profile.cpu
        if cpu is None:
            return False
        used = cpu.job_cores
        if cpu.limit_source == "machine":
            used += cpu.other_cores + cpu.serving_cores
        return used >= USED_UP * cpu.limit_cores or cpu.throttled

    @property
    def company(self) -> float:
        """Cores that other programs take of those that the job could have; 0 where it is little, or a limit is its own."""
        cpu = self.profile.cpu
        if cpu is None or cpu.limit_source != "machine" or cpu.other_cores < COMPANY * cpu.limit_cores:
            return 0.0
        return cpu.other_cores

    @property
    def taking_over(self) -> float:
        """Share of the time in which the loop takes batches over that are there: its own work, not waiting for data.

        It also waits for a core then; where the cores are used up, preparation is to blame for that.
        """
        return self.share("receive") + (0.0 if self.cores_used_up or not self.workers else self.share("queue_data"))

    @property
    def starved(self) -> float:
        """Share of the time in which the training thread has its data but no core, and the GPU waits for it.

        Where the cores are used up, preparation is to blame for that. 0 where no GPU tells that it waits.
        """
        busy = self.measured("gpu_busy_fraction")
        if busy is None or not self.cores_used_up:
            return 0.0
        return max(0.0, min(self.share("queue") - self.share("queue_data"), self.share("step") - busy))

    @property
    def straggler(self) -> Rank | None:
        """The rank that waits least for the others, where the difference is plain."""
        ranks = self._by_waiting
        return ranks[0] if len(ranks) > 1 and self.lag >= LAGS else None

    @property
    def lag(self) -> float:
        """Share of the time for which even the next slowest rank waits for the slowest; 0 for a single rank."""
        ranks = self._by_waiting
        return ranks[1].communication - ranks[0].communication if len(ranks) > 1 else 0.0

    @property
    def lags_by(self) -> str | None:
        """What the rank that lags does more of than the others: data, host or step. None where none lags."""
        slow = self.straggler
        if slow is None:
            return None
        return max(
            ("data", "host", "step"), key=lambda name: float(getattr(slow, name)) - self._others_mean(slow, name)
        )

    def _others_mean(self, slow: Rank, name: str) -> float:
        others = [float(getattr(rank, name)) for rank in self.profile.job.ranks if rank is not slow]
        return sum(others) / len(others)

    @property
    def _by_waiting(self) -> list[Rank]:
        return sorted(self.profile.job.ranks, key=lambda rank: rank.communication)

    def lost(self, name: str) -> float:
        """A share of the time that could be saved. What only the rank that lags does makes all others wait for it; where that is
        waiting for its data, data is what all of them wait for."""
        slow = self.straggler
        if slow is None or name not in ("data", "host", "communication"):
            return self._lost(name)
        for_data, mean = self.lags_by == "data", self._others_mean(slow, name)
        if name == "communication":
            return max(0.0, mean - self.lag) if for_data else mean
        if name == "data" and for_data:
            return max(0.0, self._lost(name) + slow.data - self.share(name))
        return max(0.0, self._lost(name) - max(0.0, self.share(name) - mean))

    def _lost(self, name: str) -> float:
        # While the GPU works off kernels that were launched ahead, a wait costs nothing.
        # Where the loader's threads hold the interpreter lock, data is the cause of a wait outside the loader.
        own = self.taking_over - self.share("gil")
        moved = {"data": self.starved - own - self.share("overlap"), "host": own}
        return max(0.0, self.share(name) + moved.get(name, 0.0))

    def measured(self, name: str) -> float | None:
        """A measurement's value."""
        return value_of(self.profile.measurements.get(name))


def case_of(profile: JobProfile) -> Case:
    """Puts the profile into the model."""
    known = pipeline_of(profile)
    if known is None:
        return Case(profile, None, None, None, None, None, None)
    pipeline = known.pipeline
    best = best_workers(outside(known, pipeline, 1) if known.inline else pipeline)
    more = move_to_workers(known, best)
    if pipeline.rival_groups:
        # Even shares are what sessions get in the long run; how the kernel places their threads may favour the one with more.
        compete = dataclasses.replace(known, pipeline=dataclasses.replace(pipeline, rival_groups=0))
        most = move_to_workers(
            compete, best_workers(outside(known, compete.pipeline, 1) if known.inline else compete.pipeline)
        )
        more = SpeedUp(more.value, more.low, max(more.high, most.high))
    unsure = [store for store in profile.stores if store.at_ceiling is None and store.wait_share > 0.3]
    if unsure and more.value > 1:
        more = _below_a_ceiling(more, unsure[0].line_busy_fraction)
    return Case(
        profile,
        known,
        best,
        more,
        _on_a_local_store(known, profile),
        speedup(
            known,
            lambda p: without_core_limit(outside(known, p, 1) if known.inline else p),
            extra_error=FAST_STORE_ERROR,
        ),
        speedup(known, lambda p: dataclasses.replace(p, step_s=p.step_s / 1000, contention_s=0.0, step_cpu_s=0.0)),
    )


def _below_a_ceiling(more: SpeedUp, line_busy: float | None) -> SpeedUp:
    """More workers at a store whose ceiling cannot be seen from here: it may be anywhere above what is read now.

    Where answers share a line, it is full when one comes in all the time; whether they do is not known. So much, or what the
    model says: halfway, as logarithms go.
    """
    low = 1 + (more.value - 1) * 0.5
    value = more.value
    if line_busy and 1 / line_busy < more.value:
        full = 1 / line_busy
        low, value = min(low, full), math.sqrt(full * more.value)
    return SpeedUp(value, min(value, low), more.high)


def kept_workers(case: Case) -> SpeedUp | None:
    """The gain when workers outlive the epoch. Its first batch is still waited for."""
    known, demand, turnover = case.known, case.profile.demand, case.turnover
    if known is None or demand is None or turnover <= 0:
        return None
    epochs_per_s = case.profile.epochs_seen / max(case.profile.window.steady_s, 1e-9)
    still = min(turnover, epochs_per_s * (known.pipeline.prepare_cpu_s + known.pipeline.store_s))
    value = 1 / (1 - turnover + still)
    return SpeedUp(value, 1 + (value - 1) * TURNOVER_LEAST, 1 / (1 - turnover))


def move_to_workers(known: Known, workers: int) -> SpeedUp:
    """The gain with another number of workers."""
    if known.inline and known.hand_over is not None and known.timed:
        bounds = (1 - SIZED_HAND_OVER_ERROR, 1 + SIZED_HAND_OVER_ERROR)
        small, large = (lambda p, at=at: outside(known, p, workers, at) for at in bounds)
        moved = dataclasses.replace(known, cpu_error=MOVED_CPU_ERROR)
        return speedup(moved, lambda p: outside(known, p, workers), at_bounds=(small, large))
    if known.inline:
        return speedup(dataclasses.replace(known, cpu_error=HAND_OVER_ERROR), lambda p: outside(known, p, workers))
    return speedup(known, lambda p: with_workers(p, workers), cores_error=CORES_ERROR)


def without_workers(case: Case) -> SpeedUp | None:
    """The gain when the training thread makes its batches itself: where they cost more to hand over than to make.

    What workers spend on a batch is its making and its handing over, which costs the usual, or half of it at least.
    """
    known, demand, thread = case.known, case.profile.demand, case.profile.training
    if known is None or demand is None or thread is None or not case.workers:
        return None
    batch_s, making_s = 1 / demand.batches_per_s, known.pipeline.prepare_cpu_s + known.pipeline.store_s
    rest_s = batch_s * (1 - thread.data)
    most_s, least_s = (max(0.0, making_s - part * LEAST_HAND_OVER_S) for part in (0.5, 1.0))
    low, high = batch_s / (rest_s + most_s), batch_s / (rest_s + least_s)
    return SpeedUp(math.sqrt(low * high), low, high)


def is_kept(case: Case) -> bool:
    """Whether workers that outlive the epoch are the remedy, rather than more of them."""
    kept, more = kept_workers(case), case.more_workers
    return kept is not None and more is not None and more.value < WORTH and kept.value > more.value


def outside(known: Known, pipeline: Pipeline, workers: int, times: float = 1.0) -> Pipeline:
    """Preparation moved from the training thread into workers, which hand their batches over, at so many times the cost that
    their size has."""
    prepare_s, sized = pipeline.prepare_cpu_s, known.hand_over
    hand_over_s, take_over_s = prepare_s * (HAND_OVER_COST - 1), prepare_s * TAKE_OVER_SHARE
    if known.timed and sized is not None:
        hand_over_s = LEAST_HAND_OVER_S + times * FILLED_TWICE * sized.batch_bytes * sized.fill_s_per_byte
        take_over_s = LEAST_TAKE_OVER_S + times * sized.batch_bytes * sized.release_s_per_byte
    elif known.timed:
        hand_over_s, take_over_s = max(hand_over_s, LEAST_HAND_OVER_S), max(take_over_s, LEAST_TAKE_OVER_S)
    moved = dataclasses.replace(
        pipeline,
        prepare_cpu_s=prepare_s + hand_over_s,
        step_s=pipeline.step_s + take_over_s,
        step_cpu_s=pipeline.step_cpu_s + take_over_s,
        contention_s=CONTENTION * take_over_s,
    )
    return with_workers(moved, workers)


def without_store(pipeline: Pipeline, left: float = STORE_LEFT, received_s: float = 0.0) -> Pipeline:
    """The data on a local store that keeps up, leaves such a share of the waiting, and spares so much CPU time of receiving."""
    return dataclasses.replace(
        pipeline,
        prepare_cpu_s=max(0.0, pipeline.prepare_cpu_s - received_s),
        store_s=pipeline.store_s * left,
        store_batches_per_s=None,
        serving_cpu_s=0.0,
    )


def _on_a_local_store(known: Known, profile: JobProfile) -> SpeedUp:
    """The gain on a local store. Where nearly all the time is waiting, most of what remains is what that store leaves of it,
    from nothing to twice the usual, and what the workers compute besides receiving, which is no part of their work there."""
    spared = received_s(profile)
    usual = speedup(known, partial(without_store, received_s=spared), extra_error=FAST_STORE_ERROR)
    below, above = ((usual.value - usual.low) ** 2, (usual.high - usual.value) ** 2)
    for left, received in ((STORE_LEFT_MOST, spared), (0.0, spared), (STORE_LEFT, spared * RECEIVING_LEAST)):
        other = speedup(known, partial(without_store, left=left, received_s=received)).value
        below += min(0.0, other - usual.value) ** 2
        above += max(0.0, other - usual.value) ** 2
    low = max(1.0, usual.value - math.sqrt(below))
    return SpeedUp(usual.value, min(usual.value, low), usual.value + math.sqrt(above))


def received_s(profile: JobProfile) -> float:
    """CPU seconds of a batch that a remote store takes beside its waiting: those at the very lines that wait for it, but for
    what reading as much from a local file takes. 0 where nothing is remote, or batches or bytes cannot be counted."""
    store = profile.stores[0] if profile.stores else None
    workers, demand = profile.workers, profile.demand
    if store is None or store.kind != "socket" or store.read_bytes_per_s is None or workers is None or demand is None:
        return 0.0
    waiting = {(f.filename, f.line) for f in workers.functions if f.activity == "io_wait"}
    computing = [f for f in workers.functions if f.activity == "compute"]
    at_waiting = sum(f.share for f in computing if (f.filename, f.line) in waiting)
    if not at_waiting:
        return 0.0
    # Only the largest functions are kept: all that workers compute may be more than those.
    receiving_s = float(demand.worker_cpu_s) * at_waiting / max(workers.compute, sum(f.share for f in computing))
    ranks = max(1, len(profile.job.ranks))
    read_s = store.read_bytes_per_s / ranks / demand.batches_per_s * LOCAL_READ_S_PER_BYTE
    return max(0.0, receiving_s - read_s)


def without_company(pipeline: Pipeline) -> Pipeline:
    """The cores of this machine for the job alone."""
    return dataclasses.replace(pipeline, cores=pipeline.limit_cores, other_cores=0.0, rival_groups=0)


def without_core_limit(pipeline: Pipeline) -> Pipeline:
    """Preparation on as many other machines as it takes."""
    enough = max(pipeline.workers, 1) * 64
    return dataclasses.replace(
        pipeline,
        workers=enough if enough < 64 else 64,
        cores=1e4,
        machine_cores=1e4,
        other_cores=0.0,
        parallelism=None,
        contention_s=0.0,
    )


def now(case: Case) -> float | None:
    """Batches per second in the model's unit."""
    return throughput(case.known.pipeline) if case.known is not None else None
