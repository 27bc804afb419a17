"""Speed-ups of single steps, with their intervals. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mlscale.model.estimate import Z_90
from mlscale.model.pipeline import COLD, COLD_STOPPED, Pipeline, all_busy, inflation, taking_over_s, throughput
from mlscale.model.speedup import SpeedUp
from mlscale.profile.job import Cpu, HandOver, JobProfile

# Errors are 90 %. Those of the model's parts are calibrated: 101 promises against what happened, docs/model.md "Errors".
MODEL_ERROR = 0.03  # of the network itself
CPU_ERROR = 0.04  # of CPU seconds per batch, when more workers share caches and memory
MIN_SHARE_ERROR = 0.01
SAME_SHARE = 1e-3  # of the time: the step is the GPU's busy share, which was taken for it
# Of a burst of batches, what the window's ends cut off, 90 %: the difference of two ends, each anywhere in it (triangular).
EDGE_ERROR = 0.68
WHOLE_PER_CENT = 0.0025  # NVML gives its busy share so, and whether it rounds or cuts off nobody says
# A worker also puts its batch into shared memory, which a loop that loads its own data does not: 1.02 to 1.38 times the
# CPU time in the example job, small tensors to large (docs/model.md); the size of a batch cannot be seen from outside.
HAND_OVER_COST, HAND_OVER_ERROR = 1.2, 0.18
TAKE_OVER_SHARE = 0.06  # of the preparation's CPU time: what the training thread then spends on taking a batch over
# Where the bytes of a batch are known, so is what they cost: a worker fills them twice, once in shared memory and once where the
# samples lie before, which the C library gives back after each batch; the training thread gives them back. docs/model.md.
FILLED_TWICE, SIZED_HAND_OVER_ERROR = 2, 0.35
# What preparation allocates besides, a worker's heap gives back and fills anew as well, where a loop of its own may keep it.
MOVED_CPU_ERROR = 0.08
# However small a batch is: a connection to the worker and a mapping for each of its tensors, of which two are usual. Measured
# here by benchmarks/hand_over.py, docs/model.md.
LEAST_TAKE_OVER_S = 0.8e-3  # of the training thread
LEAST_HAND_OVER_S = 0.6e-3  # of a worker's CPU time
FEW_LOOKS = 10  # at taking over: fewer tell its share no better than to a third
BESIDE_EACH_OTHER = 0.5  # of what a worker's two threads seem to do so, where a wait for a core hides how much: halfway
AT_CEILING = 0.995  # of the rate that was seen, which is the ceiling itself: that the model can only come near to
_HALVINGS = 12
DEFAULT_PREFETCH = 2  # torch.utils.data.DataLoader's
GIL_BOUND = 0.1  # share of a thread's time spent waiting for the lock, from which it bounds the loader
# Squared coefficient of variation of a batch's preparation and of the step, mean of both. A batch is a sum over its
# samples (16 with a spread of one mean each: 0.06), and cores are shared: far more regular than exponential times (1).
VARIABILITY = 0.1
WAITS_MUCH = (
    0.25  # share of the time waiting for data, from which the queue of ready batches is hardly ever full; a guess
)
TELLING_WAIT = 0.04  # share of the time waiting for data, below which it tells nothing of the variability
VARIABILITY_SPREAD = 0.8  # standard deviation of its logarithm: usually between 0.45 and 2.2 times VARIABILITY
RATE_SPREAD = 0.03  # of the model's rate at the true demands, which are seen with an error of some percent
LEAST_VARIABILITY, MOST_VARIABILITY = 0.02, 10.0  # nearly clockwork; a throttled disk, that gives in bursts
# Taking a batch over is a row of short runs and answers. Where it finds the cores busy it waits for one, in all this many
# times its own CPU time, and where they are free still a part of it: 1.4 in 13 jobs of 2 to 4 workers on 2 cores, and 0.8 to 1.1
# in nine on another machine (benchmarks/full_cores.py), docs/model.md.
CONTENTION, CONTENTION_ERROR = 1.2, 0.5
USUAL_WAIT = 0.4  # the same, with cores free
# A loop that threads feed takes its batches over for nothing, but where they keep all cores busy, and rest between, it waits for
# one when it wakes: so long after long sleeps, not at all after short ones. Measured by benchmarks/wakes.py, docs/model.md.
TURN_WAIT_S, SHORT_SLEEP_S, LONG_SLEEP_S = 0.5e-3, 1e-3, 5e-3
OWN_TURNS = 0.5  # of a loop's turns, while data is short: the others end its waits for data, which will be there
TURNS_ERROR = 1.0  # half of it to twice as much: so far loops and pools differ
CROWDING_ERROR = 2.0  # none on two machines, 0.05 and more on another: a third to three times
COLD_ERROR = 0.8  # of what cores that hardly rest spare: 0.14 to 0.45
CROWDED_NOW = 0.3  # chance of finding all cores busy, from which what is seen tells how long it waits for one then
# The same work takes more CPU time now and less then, where a host is shared: after a step as long as the watch, the mean differs
# from that of the watch by the standard errors of both.
ANOTHER_WATCH = math.sqrt(2)
ANSWER_ERROR = 0.25  # of the waits for a worker's interpreter: while data is short, they overlap with its computing
MOSTLY = 0.5
LEAST_ANSWERS = 0.25  # of the batches: from fewer waits, no more is concluded
# Fewer than FEW_LOOKS at such a wait may be chance: what is usual then counts as one look more. The recordings in
# tests/recordings that would have shown 1 ms in a look and more have 0 to 2 ms, and 18 ms where workers compute only Python.
USUAL_ANSWER_S = 0.5e-3
BESIDE = 0.05  # share of the cores from which others are company
WAITS_FOR_CORE = 0.1  # share of its wanted time that a job waits for a core, from which the scheduler has to divide
MUCH_WANTED = 0.5  # cores: a job that wants less sleeps most of the time, and is served first when it wakes
Change = Callable[[Pipeline], Pipeline]


@dataclass(frozen=True)
class Known:
    """A job's pipeline, and the relative errors (90 %) of its parts."""

    pipeline: Pipeline
    cpu_error: float
    store_error: float
    step_error: float
    answer_error: float = ANSWER_ERROR
    inline: bool = False  # the training thread prepares the data: workers would have to hand it over
    rate: float = 0.0  # batches/s that were seen, in the pipeline's unit of time; 0: unknown
    lock_s: float = 0.0  # part of step_s that is waiting for the lock of a loader in threads
    hand_over: HandOver | None = None  # what a batch would cost to get from a worker, where its size is known
    timed: bool = True  # times are in seconds; else in mean times of a batch, which nobody saw
    cpu_swing: float = (
        0.0  # relative standard error of prepare_cpu_s, by its spread over the watch: a machine's unevenness
    )
    misfit: float = 0.0  # how far the model is from the rate that was seen, beyond what the demands' own errors explain


def pipeline_of(profile: JobProfile) -> Known | None:
    """The pipeline that a profile shows; None where the demands are unknown.

    Without a batch rate the unit of time is the mean time of a batch: ratios of throughput stay what they are.
    """
    cpu, loader, thread, workers = profile.cpu, profile.job.loader, profile.training, profile.workers
    if cpu is None or thread is None or loader is None:
        return None
    rate = profile.demand.batches_per_s if profile.demand is not None else 1.0
    ranks = max(1, len(profile.job.ranks))
    count = loader.workers if workers is not None else 0
    if loader.worker_kind != "inline" and not count:
        return None  # a native pipeline, whose threads could not be seen
    if count and workers is not None:
        prepare_s = cpu.worker_cores / ranks / rate
        store_s = (workers.io_wait + workers.hand_over) * count / rate
        io_share, looks = workers.io_wait, workers.samples
        training_cores = cpu.training_cores
    else:
        prepare_s, store_s = thread.data_cpu / rate, thread.data_io_wait / rate
        io_share, looks = thread.data_io_wait, thread.samples
        training_cores = max(0.0, cpu.training_cores - thread.data_cpu * ranks)
    at_ceiling = any(store.at_ceiling for store in profile.stores)
    gil = workers.gil_wait if workers is not None else 0.0
    # The rank that waits least for the others sets the pace: what the others wait for is its data.
    slowest = min(profile.job.ranks, key=lambda rank: rank.communication, default=None)
    data = thread.data if slowest is None else slowest.data
    receive, blocked = thread.receive, thread.receive_wait
    least_s = LEAST_TAKE_OVER_S if profile.demand is not None else 0.0
    usual = min(thread.cpu, max(TAKE_OVER_SHARE * prepare_s, least_s) * rate)
    stopped = count > 0 and cpu.throttled
    rare = receive * thread.samples < FEW_LOOKS and not thread.pinned
    if count and loader.worker_kind == "process" and not stopped and rare:
        receive = max(receive, usual)  # too rare for looks while data is short; no longer so once it is not
    # Everything but waiting for data: also taking a batch over, and waiting for a core with a batch at hand.
    outside = 1 - data + receive + thread.queue_data
    if thread.overlap:
        # The GPU and the thread work side by side: the slower of both is the step. Taking over waits beside the GPU's work.
        outside = max(1 - data + thread.overlap, outside)
        receive = blocked = 0.0
    if stopped:
        # Looks see a thread where the quota stopped it, not where it computes: what taking over usually takes says more.
        receive = usual
    wanting = thread.cpu + thread.queue
    if count and workers is not None:
        wanting += count * (workers.compute + workers.run_queue)
    others = others_wanting(cpu, wanting * ranks)
    # A quota's cores are the job's alone: who serves it runs on others.
    serving_cores = cpu.serving_cores if cpu.limit_source == "machine" else 0.0
    pipeline = Pipeline(
        workers=count,
        prefetch=loader.prefetch_factor or DEFAULT_PREFETCH,
        cores=cores_of(cpu, max(1, count), others, serving_cores) / ranks,
        prepare_cpu_s=prepare_s,
        store_s=store_s,
        step_s=max(1e-4, outside - thread.queue) / rate,
        step_cpu_s=training_cores / ranks / rate,
        serving_cpu_s=serving_cores / ranks / rate,
        store_batches_per_s=rate if at_ceiling else None,
        # Where threads wait for the interpreter lock, what they use together is all that they can.
        parallelism=max(0.1, cpu.worker_cores) if loader.worker_kind == "thread" and gil > GIL_BOUND else None,
        variability=VARIABILITY,
        limit_cores=cpu.limit_cores / ranks,
        other_cores=others / ranks,
        rival_groups=cpu.rival_groups,
        ranks=ranks,
        machine_cores=cpu.affinity_cores / ranks,
        threads_per_core=profile.host.threads_per_core,
        worker_threads=_threads_of(profile, count * ranks),
    )
    # Demands as they would be alone; the model adds what company costs.
    busy = cpu.job_cores + cpu.other_cores + serving_cores
    crowd = inflation(pipeline, busy / ranks)
    used = min(1.0, busy / max(cpu.affinity_cores, cpu.limit_cores))
    pipeline = dataclasses.replace(
        pipeline,
        prepare_cpu_s=prepare_s / crowd,
        step_cpu_s=pipeline.step_cpu_s / crowd,
        serving_cpu_s=pipeline.serving_cpu_s / crowd,
        cold=(COLD * workers.io_wait + (COLD_STOPPED if stopped else 0.0)) * (1 - used)
        if count and workers is not None
        else 0.0,
        cold_used=used,
    )
    handed_out = count and loader.worker_kind == "process" and not (stopped or thread.pinned or thread.overlap)
    told_by = thread.samples if handed_out and profile.demand is not None else 0
    pipeline, answer_error = _with_answers(pipeline, rate, blocked / rate, told_by)
    at_turns_s = 0.0
    if loader.worker_kind == "thread" and thread.turns_per_s is not None:
        at_turns_s = waits_at_turns(thread.turns_per_s) / rate
    taken_over_s = CONTENTION * receive / rate
    expected_s = max(taken_over_s, at_turns_s)
    pipeline = _with_contention(pipeline, rate, expected_s, receive / rate, thread.queue / rate, stopped=stopped)
    crowded = all_busy(pipeline, rate)
    if at_turns_s > taken_over_s and crowded < CROWDED_NOW:
        pipeline = dataclasses.replace(pipeline, turns_s=at_turns_s, contention_s=0.0)
    if count and crowded > MOSTLY and not stopped:
        # Where no core is free, the worker that is to hand a batch out waits for one too.
        pipeline = dataclasses.replace(pipeline, contention_s=pipeline.contention_s + blocked / rate / crowded)
    pipeline = dataclasses.replace(pipeline, variability=_fitted_variability(pipeline, rate))
    if at_ceiling:
        pipeline = _queueing(pipeline, rate)
    return Known(
        pipeline,
        CPU_ERROR,
        relative_error(io_share, looks),
        _step_error(profile, outside, rate * profile.window.steady_s),
        answer_error,
        inline=not count,
        lock_s=thread.gil / rate,
        rate=rate,
        hand_over=profile.hand_over,
        timed=profile.demand is not None,
        # Where it is unknown, CPU_ERROR has to do, as it did before it was looked at.
        cpu_swing=(profile.demand.cpu_swing if profile.demand is not None else None) or 0.0,
        misfit=max(0.0, abs(math.log(throughput(pipeline) / rate)) - RATE_SPREAD),
    )


def _threads_of(profile: JobProfile, workers: int) -> float:
    """Cores that one worker uses while its main thread computes: handing over, in a thread of its own, runs beside it."""
    cpu, own, thread, loader = profile.cpu, profile.workers, profile.training, profile.job.loader
    if cpu is None or own is None or own.compute <= 0.05 or not workers:
        return 1.0
    computes = own.compute
    alone = loader is not None and loader.workers == 1 and (loader.prefetch_factor or DEFAULT_PREFETCH) > 1
    if alone and thread is not None and thread.data > WAITS_MUCH:
        computes += own.idle  # it has another order when it is done with one: what looks idle is reading that
    beside = max(0.0, cpu.worker_cores / (workers * computes) - 1)
    # Where they wait for a core, both threads take turns on it, and do not meet at the interpreter's lock, as they would on two.
    return 1 + beside * (BESIDE_EACH_OTHER if own.run_queue > WAITS_FOR_CORE else 1.0)


def _with_answers(pipeline: Pipeline, rate: float, blocked_s: float, looks: int) -> tuple[Pipeline, float]:
    """The waits for a worker's interpreter, as they would be with a worker that always computes and cores that are free; and
    their relative error. `looks`: that told it; 0 where what is usual says nothing of this job.

    Where no core is free, the worker waits for one, as all do: that tells nothing of its interpreter.
    """
    if all_busy(pipeline, rate) > MOSTLY:
        return pipeline, ANSWER_ERROR
    one = taking_over_s(dataclasses.replace(pipeline, answer_s=1.0), rate)
    looks_per_s = looks * rate  # at each second of wait that every batch has
    if not looks or blocked_s * looks_per_s >= FEW_LOOKS:
        return dataclasses.replace(pipeline, answer_s=blocked_s / max(one, LEAST_ANSWERS)), ANSWER_ERROR
    seen = 1 + blocked_s * looks_per_s
    answer_s = seen / (1 / USUAL_ANSWER_S + one * looks_per_s)
    return dataclasses.replace(pipeline, answer_s=answer_s), math.hypot(ANSWER_ERROR, Z_90 / math.sqrt(seen))


def waits_at_turns(turns_per_s: float) -> float:
    """Share of the time that a loop which threads feed will wait for a core, where all are busy, by its turns on one now."""
    sleep_s = 1 / max(turns_per_s, 1e-3)
    long = (sleep_s - SHORT_SLEEP_S) / (LONG_SLEEP_S - SHORT_SLEEP_S)
    return OWN_TURNS * turns_per_s * TURN_WAIT_S * min(1.0, max(0.0, long))


def _with_contention(
    pipeline: Pipeline, rate: float, expected_s: float, receive_s: float, queue_s: float, *, stopped: bool
) -> Pipeline:
    """The training thread's waits for a core: some always, and more where all cores are busy.

    Seen where they are busy now; else as expected of what it does then. Where a quota stops the job, what it waits is the
    quota's, and tells nothing of the cores.
    """
    if not pipeline.workers:
        crowded = all_busy(pipeline, 0.0)
        if crowded < CROWDED_NOW:
            return dataclasses.replace(pipeline, step_s=pipeline.step_s + queue_s)
        return dataclasses.replace(pipeline, contention_s=queue_s / crowded)
    crowded = all_busy(pipeline, rate)
    if stopped:
        return dataclasses.replace(pipeline, contention_s=expected_s)
    if crowded < CROWDED_NOW or expected_s <= 0:
        return dataclasses.replace(pipeline, step_s=pipeline.step_s + queue_s, contention_s=expected_s)
    usual = min(queue_s, USUAL_WAIT * receive_s)
    seen = (queue_s - usual) / crowded
    # What is seen may be the queue of cores that are used up, which more cores would end, and which the network has without
    # it: halfway, as logarithms go, and within bounds.
    contention = math.sqrt(expected_s * min(max(seen, expected_s / 4), expected_s * 4))
    return dataclasses.replace(pipeline, step_s=pipeline.step_s + usual, contention_s=contention)


def cores_of(cpu: Cpu, runnable: int, others: float, serving: float) -> float:
    """Cores that the job can have, with who serves it: what they use, what is free, or a fair share beside others, whichever is
    most."""
    fair = cpu.limit_cores * runnable / (runnable + others)
    if cpu.rival_groups:
        fair = cpu.limit_cores / (1 + cpu.rival_groups)
    return min(cpu.limit_cores, max(cpu.job_cores + serving, cpu.limit_cores - cpu.other_cores, fair, 0.1))


def others_wanting(cpu: Cpu, wanting: float) -> float:
    """How many threads of other programs want a core at a time.

    Where this job's own `wanting` threads find their cores, that is what the others use. Where they wait for one, the
    scheduler's fair shares tell it: used = limit x wanting / (wanting + others).
    """
    if cpu.other_cores < BESIDE * cpu.limit_cores:
        return max(0.0, cpu.other_cores)  # this job's threads wait for each other
    if wanting < MUCH_WANTED or cpu.job_cores >= wanting * (1 - WAITS_FOR_CORE):
        return cpu.other_cores
    return max(float(cpu.other_cores), wanting * (cpu.limit_cores / max(cpu.job_cores, 0.01) - 1))


def _fitted_variability(pipeline: Pipeline, rate: float) -> float:
    """The likeliest variability, given the rate that was seen and what is usual.

    Near the knee the rate tells it; where one stage clearly leads it tells nothing, and a slip of a percent in the
    demands must not be taken for bursts.
    """
    waits = 1 - rate * (pipeline.step_s + taking_over_s(pipeline, rate))
    if not pipeline.workers or waits < TELLING_WAIT:
        return VARIABILITY

    def surprise(variability: float) -> float:
        predicted = throughput(dataclasses.replace(pipeline, variability=variability))
        off = math.log(predicted / rate) / RATE_SPREAD
        unusual = math.log(variability / VARIABILITY) / VARIABILITY_SPREAD
        return off * off + unusual * unusual

    steps = 16
    ratio = math.pow(MOST_VARIABILITY / LEAST_VARIABILITY, 1 / steps)
    return min((LEAST_VARIABILITY * math.pow(ratio, step) for step in range(steps + 1)), key=surprise)


def _queueing(pipeline: Pipeline, rate: float) -> Pipeline:
    """A store at its ceiling makes its callers queue. What they wait holds that, and so would count it twice beside the ceiling:
    the store's own time is so much of it as gives the rate that was seen."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        tried = dataclasses.replace(pipeline, store_s=pipeline.store_s * share)
        low, high = (share, high) if throughput(tried) >= rate * AT_CEILING else (low, share)
    return dataclasses.replace(pipeline, store_s=pipeline.store_s * high)


def relative_error(share: float, looks: int) -> float:
    """Relative 90 % error of a share seen in so many looks; half the binomial one, for looks are spread evenly."""
    share = min(max(share, 1e-3), 1.0)
    return 0.5 * Z_90 * math.sqrt((1 - share) / (share * looks)) + MIN_SHARE_ERROR


def _step_error(profile: JobProfile, outside: float, batches: float) -> float:
    """Relative 90 % error of the step. Where it is the GPU's own busy time, which is counted, it errs by what the window's ends
    cut off: up to one batch of each worker, for they give them in bursts. Else by the looks."""
    thread, loader = profile.training, profile.job.loader
    if thread is None or loader is None:
        return 1.0
    by_looks = relative_error(max(1e-3, outside), thread.samples)
    busy = [gpu.busy_fraction for gpu in profile.host.gpus if gpu.busy_fraction is not None]
    counted = bool(busy) and abs(sum(busy) / len(busy) - thread.step) < SAME_SHARE and not thread.overlap
    if not counted or profile.demand is None:
        return by_looks
    edges = max(1, loader.workers) / batches * EDGE_ERROR
    return min(by_looks, MIN_SHARE_ERROR + math.hypot(edges, WHOLE_PER_CENT / max(outside, 1e-3)))


def speedup(
    known: Known,
    change: Change,
    *,
    extra_error: float = 0.0,
    cores_error: float = 0.0,
    at_bounds: tuple[Change, ...] = (),
) -> SpeedUp:
    """Throughput after `change` over throughput now. Each part's error is carried through the model by itself.

    `at_bounds`: the change at the lower and at the upper bound (90 %) of its own size, where that is an estimate.
    """
    base = known.pipeline
    value = _ratio(base, change)
    # What the model misses now it may miss then.
    squares = (value * math.hypot(MODEL_ERROR, extra_error, known.misfit)) ** 2
    for part, error in (
        ("prepare_cpu_s", known.cpu_error),
        ("store_s", known.store_error),
        ("step_s", known.step_error),
        ("contention_s", CONTENTION_ERROR),
        ("turns_s", TURNS_ERROR),
        ("answer_s", known.answer_error),
        ("crowding", CROWDING_ERROR),
        ("cold", COLD_ERROR),
        ("cores", cores_error),
    ):
        if error <= 0 or not getattr(base, part):
            continue
        for sign in (1 + error, 1 / (1 + error)):
            moved = dataclasses.replace(base, **{part: getattr(base, part) * sign})
            squares += ((_ratio(moved, change) - value) ** 2) / 2
    uneven = Z_90 * ANOTHER_WATCH * known.cpu_swing
    # What was seen, was: only what comes after the step may find the machine in another mood.
    squares += sum(
        (_ratio(base, partial(_dearer, change, by)) - value) ** 2 / 2 for by in (1 + uneven, 1 / (1 + uneven))
    )
    squares += sum((_ratio(base, bound) - value) ** 2 / 2 for bound in at_bounds)
    half = math.sqrt(squares)
    low = max(0.05, value - half)
    # A step that can do no harm is not promised to.
    return SpeedUp(value, min(value, max(low, min(1.0, value))), value + half)


def _dearer(change: Change, by: float, pipeline: Pipeline) -> Pipeline:
    """The pipeline after a change, where preparing a batch then takes `by` times the CPU time."""
    after = change(pipeline)
    return dataclasses.replace(after, prepare_cpu_s=after.prepare_cpu_s * by)


def _ratio(base: Pipeline, change: Change) -> float:
    now = throughput(base)
    return throughput(change(base)) / now if now > 0 else 1.0
