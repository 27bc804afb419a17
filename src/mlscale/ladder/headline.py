"""The verdict in words, and the remedies that are no rung. Pure."""

from __future__ import annotations

import dataclasses
import math

from mlscale.ladder.case import WORTH, Case, is_kept, without_workers
from mlscale.ladder.result import Bottleneck, NextStep, RungResult
from mlscale.ladder.rungs.data_store import describe
from mlscale.ladder.rungs.trim_preprocessing import heaviest
from mlscale.ladder.wording import cores, count, pct, place, programs, served_by, trainer
from mlscale.model.pipeline import throughput
from mlscale.model.speedup import SpeedUp
from mlscale.model.whatif import VARIABILITY, relative_error, speedup
from mlscale.profile.job import FunctionShare

MOST_LAG = 0.95  # a promise beyond a factor of twenty would be none
DEAR = 0.05  # of the time spent on taking batches over, from which it is worth telling
LAUNCH = 0.02  # of the time that the GPU idles while its kernels are launched, from which it is worth telling
LOCK = 0.02  # of the time spent on waiting for the interpreter lock, from which it is worth telling
SELF_MADE_ERROR = 0.03  # of a promise about code that is taken out of the loop


def headline(case: Case, bottleneck: Bottleneck) -> str:
    """One sentence for a tired person."""
    data, workers, cpu = pct(case.share("data")), case.profile.workers, case.profile.cpu
    if case.share("gil") > case.share("data") or case.share("overlap"):
        data = pct(case.lost("data"))
    who = trainer(case.profile.host)
    if bottleneck == "loader_workers":
        if case.inline:
            return f"{who} waits {data} of the time: the training thread loads each batch itself{_by_itself(case)}."
        if case.known is None:
            return (
                f"{who} waits {data} of the time for data: the loader's own threads cannot keep up, and cores are free."
            )
        if is_kept(case):
            return f"{who} waits {data} of the time for data, most of it at the start of each epoch: the workers start anew."
        if workers is not None and workers.io_wait > workers.compute:
            now = count(case.workers, "worker")
            return f"{who} waits {data} of the time for data: {now} wait for the store one read at a time; more can wait at once."
        now = count(case.workers, "loader worker")
        return f"{who} waits {data} of the time for data: {now} cannot keep up, and cores are free."
    if bottleneck == "storage":
        return f"{who} waits {data} of the time for data, and the loader waits for {describe(case.store)}, which gives no more."
    if bottleneck == "preprocessing":
        if workers is not None and workers.gil_wait > 0.1:
            return f"{who} waits {data} of the time for data: the loader's threads hold each other up at Python's lock (GIL)."
        top = heaviest(case)
        named = f", most of all with {top.name}" if top is not None else ""
        if case.too_small_to_hand_over:
            return f"{who} waits {data} of the time: the training thread makes each batch itself; it is too small for workers."
        limit = f"{cores(cpu.limit_cores)}" if cpu is not None else "every core"
        if cpu is not None and case.company:
            limit = f"{cores(cpu.job_cores)} that other programs leave of {cpu.limit_cores:.3g}"
        why = {"quota": " that the container's quota allows", "affinity": " that it is pinned to", "machine": ""}
        source = why[cpu.limit_source] if cpu is not None else ""
        if case.starved > case.share("data"):
            lost = pct(case.lost("data"))
            filled = f"preparing data fills the {limit}{source}{named}"
            return f"{who} waits {lost} of the time, most of it for a core of the training thread: {filled}."
        return f"{who} waits {data} of the time for data: preparing it fills the {limit}{source}{named}."
    if bottleneck == "host":
        top = heaviest_of(case, "host")
        named = place(top) if top is not None else "its own Python code"
        if case.taking_over > case.share("host"):
            named = "taking batches over from the workers"
        elif launches(case):
            lost = pct(case.lost("host"))
            return f"{who} waits {lost} of the time for its kernels: the step launches them more slowly than it works them off."
        return f"The training loop spends {pct(case.lost('host'))} of its time in other host work: {named}."
    if bottleneck == "checkpoint":
        return f"Saving stalls the loop {pct(case.share('save'))} of the time: {_saves(case)}."
    if bottleneck == "communication":
        slow = case.straggler
        lag = (
            f"rank {slow.rank} (pid {slow.pid}) is the one that lags"
            if slow
            else "no rank stands out: it is the exchange itself"
        )
        lost = pct(case.lost("communication"))
        if slow:
            return f"The other ranks wait {lost} of the time; {lag}."
        return f"The ranks wait {lost} of the time for each other; {lag}."
    if bottleneck == "gpu_underfilled":
        return "The GPU is busy, and most of its units idle: the kernels are too small."
    if bottleneck == "gpu":
        if not case.profile.host.gpus and not case.profile.host.accelerator_simulated:
            return f"The step itself, on the CPU, takes {pct(case.share('step'))} of the time: it wants a GPU."
        busy = case.measured("gpu_busy_fraction")
        share = (
            f"busy {pct(busy)} of the time" if busy is not None else f"at work {pct(case.share('step'))} of the time"
        )
        return f"{who} is the limit, as it should be: {share}. Going faster takes more GPU."
    return "No steady training was seen, so there is no verdict."


def because(case: Case, bottleneck: Bottleneck) -> tuple[str, ...]:
    """The evidence in sentences, strongest first."""
    profile, thread = case.profile, case.profile.training
    if thread is None:
        return (profile.not_steady_reason,) if profile.not_steady_reason else ()
    lock = f" ({pct(thread.gil)} waiting for the GIL)" if thread.gil >= LOCK else ""
    found = [
        "The training thread's time: "
        + ", ".join(
            f"{pct(getattr(thread, name))} {label}"
            for name, label in (
                ("data", "loading data" if case.inline else "waiting for data"),
                ("step", "in the step"),
                ("host", f"in other host work{lock}"),
                ("save", "saving"),
                ("communication", "waiting for other ranks"),
            )
            if getattr(thread, name) >= 0.005
        )
        + "."
    ]
    if case.starved >= DEAR:
        found.append(
            f"For {pct(case.starved)} of the time the GPU waits while the training thread has its data, but no core."
        )
    if thread.overlap:
        found.append(
            f"The GPU works on for {pct(thread.overlap)} of the time while the thread waits: its kernels were launched ahead."
        )
    if thread.launch >= LAUNCH:
        found.append(
            f"The GPU idles {pct(thread.launch)} of the time while the thread is in torch's forward, backward or optimizer."
        )
    workers, cpu = profile.workers, profile.cpu
    if workers is not None and case.workers:
        parts = (
            ("compute", "on a CPU"),
            ("run_queue", "waiting for a core"),
            ("gil_wait", "waiting for the GIL"),
            ("io_wait", "waiting for the store"),
            ("hand_over", "handing over"),
            ("idle", "idle"),
        )
        shares = ", ".join(f"{pct(getattr(workers, n))} {label}" for n, label in parts if getattr(workers, n) >= 0.02)
        found.append(f"A worker's time ({case.workers} of them): {shares}.")
    if cpu is not None:
        others = f"; other programs use {cores(case.company)}{programs(cpu)}" if case.company else ""
        served = served_by(cpu, "; ")
        found.append(f"The job uses {cores(cpu.job_cores)} of {cores(cpu.limit_cores)}{served}{others}.")
    slow = case.straggler
    if slow is not None and case.lags_by == "data":
        found.append(
            f"Rank {slow.rank} (pid {slow.pid}) waits most for its data, and the others {pct(case.lag)} of their time for it."
        )
    if case.taking_over >= DEAR:
        waiting = ", and waiting for a core meanwhile," if case.taking_over > case.share("receive") else ""
        found.append(f"Taking batches over from the workers{waiting} takes {pct(case.taking_over)} of the time.")
    if bottleneck in ("storage", "loader_workers") and case.store is not None and case.store.why:
        found.append(f"{describe(case.store)[0].upper()}{describe(case.store)[1:]}: {case.store.why}.")
    if case.known is not None and case.more_workers is not None and bottleneck in ("storage", "preprocessing"):
        found.append(f"The model gives {case.more_workers.value:.2f} times at best for any other number of workers.")
    return tuple(found)


def next_step(case: Case, bottleneck: Bottleneck, ladder: tuple[RungResult, ...]) -> NextStep:
    """The rung to climb; or the change of code where no rung helps."""
    climb = next((rung for rung in ladder if rung.status == "climb"), None)
    if climb is not None:
        return NextStep(climb.rung, climb.actions, climb.expected_speedup)
    if bottleneck == "host":
        top = heaviest_of(case, "host")
        named = place(top) if top is not None else "the code between two steps"
        if case.taking_over > case.share("host"):
            alone = without_workers(case)
            if alone is not None and alone.low >= WORTH:
                inline = (
                    "DataLoader(..., num_workers=0): to get so small a batch from a worker takes longer than to make it",
                    "Or make them larger (batch_size): each costs the same few calls, however small it is",
                )
                return NextStep(None, inline, alone)
            cheaper = (
                "Make batches smaller to hand over: uint8 instead of float32, and normalise on the GPU; pin_memory=True"
            )
            return NextStep(None, (cheaper,))
        if launches(case):
            graphs = (
                'Launch less often: CUDA graphs or torch.compile(model, mode="reduce-overhead"), '
                "and the optimizer with fused=True"
            )
            larger = "Or make batches larger (batch_size): a step launches as many kernels for a large one as for a small one"
            return NextStep(None, (graphs, larger), _launched_at_once(case))
        actions = [f"Take {named} out of the loop: do it every N steps, in a thread, or on the GPU"]
        actions.append("Avoid .item(), .cpu() and print of tensors in each step: each waits for the GPU")
        return NextStep(None, tuple(actions), _without(case, case.share("host")))
    if bottleneck == "checkpoint":
        actions = [
            "Save in the background: copy the state to CPU memory and write it in a thread "
            "(torch.distributed.checkpoint.async_save)",
            "Save less often, or to a faster store (local NVMe first, then copy)",
        ]
        return NextStep(None, tuple(actions), _without(case, case.share("save"), saves=True))
    if bottleneck == "communication":
        slow = case.straggler
        if slow is not None:
            what = {"data": "it waits for its data", "host": "its host work", "step": "its step is slower"}
            first = f"Look at rank {slow.rank} (pid {slow.pid}) first: {what[case.lags_by or 'host']}."
            look = f"{first} mlscale diagnose --pid {slow.pid}"
            return NextStep(None, (look,), _without_lag(case))
        return NextStep(
            None, ("Exchange less: larger batches, gradient accumulation, lower-precision gradients, better overlap",)
        )
    if bottleneck == "gpu_underfilled":
        return NextStep(None, ("Raise the batch size, fuse kernels (torch.compile), or use CUDA graphs",))
    if bottleneck == "gpu":
        return NextStep(
            None, ("Nothing to cure. If it has to go faster: a bigger GPU, then several in one node, then a cluster",)
        )
    return NextStep(
        None, (case.profile.not_steady_reason or "Watch again while the job trains, or longer: --duration 2m",)
    )


def _by_itself(case: Case) -> str:
    """How a loop without workers loads: by a loader without them, or by a function of its own."""
    loader = case.profile.job.loader
    if loader is not None and loader.kind == "pytorch":
        return " (num_workers=0)"
    top = heaviest_of(case, "data")
    return f", in {place(top)}" if top is not None else ""


def heaviest_of(case: Case, activity: str) -> FunctionShare | None:
    """The function of the training thread that takes most time of an activity."""
    thread = case.profile.training
    functions = thread.functions if thread is not None else ()
    return next((function for function in functions if function.activity == activity), None)


def launches(case: Case) -> bool:
    """Whether most of the loop's own work is launching kernels one by one."""
    return case.share("launch") > case.share("host") / 2


def _launched_at_once(case: Case) -> SpeedUp | None:
    """The gain when kernels come as fast as the GPU takes them; None where its units' own counters do not say how fast that is.

    At least what it idles now. At most also the gaps between short kernels, which its busy time contains: what is left then is
    the time in which its SMs work. Between both, halfway as ratios go.
    """
    gpus = case.profile.host.gpus
    gaps = [
        g.busy_fraction - g.sm_active_fraction for g in gpus if g.busy_fraction is not None and g.sm_active_fraction
    ]
    least = _without(case, case.share("launch"))
    most = _without(case, case.share("launch") + max(0.0, sum(gaps) / len(gaps))) if gaps else None
    if least is None or most is None:
        return None
    return SpeedUp(math.sqrt(least.value * most.value), least.low, most.high)


def _saves(case: Case) -> str:
    thread = case.profile.training
    if thread is None or not thread.saves_seen:
        return "checkpoints are written while training waits"
    return f"{count(thread.saves_seen, 'save')} of about {thread.save_seconds:.2g} s were seen"


def _without_lag(case: Case) -> SpeedUp:
    """The gain when the rank that lags is as fast as the next.

    Then all wait for whichever comes last: to take a batch over takes now more, now less. Of n exponential times the longest is
    the mean times 1 + 1/2 + ... + 1/n.
    """
    thread, ranks, slow = case.profile.training, case.profile.job.ranks, case.straggler
    looks = max(1, thread.samples // len(ranks)) if thread is not None else 1
    others = [rank.data for rank in ranks if rank is not slow]
    turns = sum(others) / len(others) * sum(1 / n for n in range(2, len(ranks) + 1))
    saved = max(0.0, case.lag - turns)
    error = math.hypot(case.lag * (SELF_MADE_ERROR + relative_error(case.lag, looks)), turns)
    low, value, high = (1 / (1 - min(MOST_LAG, share)) for share in (saved - error, saved, saved + error))
    return SpeedUp(value, min(value, max(1.0, low)), high)


def _without(case: Case, share: float, *, saves: bool = False) -> SpeedUp | None:
    """The gain when a share of the loop's time is gone; without a model, from that alone. `saves`: it is the saves', that need
    no CPU."""
    busy = (
        case.share("data") + case.share("step") + case.share("host") + case.share("save") + case.share("communication")
    )
    if case.known is None:
        value = 1 / max(0.05, 1 - share)
        return SpeedUp(value, max(1.0, value * (1 - 2 * SELF_MADE_ERROR)), value * (1 + 2 * SELF_MADE_ERROR))
    other = busy - case.share("data")
    left = max(0.02, (other - share) / other) if other > 0 else 1.0
    gain = speedup(
        case.known,
        lambda p: dataclasses.replace(
            p,
            step_s=p.step_s * left,
            contention_s=p.contention_s * left,
            step_cpu_s=p.step_cpu_s * (1.0 if saves else left),
            variability=VARIABILITY if saves else p.variability,
        ),
        extra_error=SELF_MADE_ERROR,
    )
    if not saves or not case.known.rate:
        return gain
    # A save is long: workers fill their queue and stop, and are behind afterwards. So the job is slower than its mean step says.
    slower = max(1.0, throughput(case.known.pipeline) / case.known.rate)
    return SpeedUp(gain.value * slower, gain.low * slower, gain.high * slower)
