"""A plan as the ladder tells it: each rung's status, the verdict, the next step. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from mlscale.ladder.case import WORTH
from mlscale.ladder.result import Bottleneck, NextStep, RungName, RungResult, Status, Verdict
from mlscale.ladder.rungs import RUNGS as LADDER
from mlscale.model.estimate import Z_90
from mlscale.model.speedup import SpeedUp
from mlscale.plan.price import has_goal
from mlscale.plan.result import Candidate, Goal, Interval
from mlscale.plan.setup import Case, Plan, RungPlan

EVEN = 0.5  # nothing was asked, so nothing is claimed
SAME_MACHINE_ERROR = 0.05  # of a ratio on one machine, 90 %: what the models of loader and store add


def ladder_of(plan: Plan) -> tuple[RungResult, ...]:
    """Every rung, judged."""
    order = [rung.rung for rung in plan.rungs]
    picked = None if plan.pick is None else plan.candidates[plan.pick].rung
    return tuple(_rung(plan, rung, order, picked) for rung in plan.rungs)


def _rung(plan: Plan, rung: RungPlan, order: Sequence[RungName], picked: str | None) -> RungResult:
    citation = next(known.citation for known in LADDER if known.id == rung.rung)
    best = _closest(plan.case.goal, rung.candidates)
    status, because = _status(plan, rung, order, picked, best)
    actions = actions_of(plan, best) if status == "climb" and best is not None else ()
    return RungResult(rung.rung, status, because, (), _gain(plan, best), actions, citation)


def _status(
    plan: Plan, rung: RungPlan, order: Sequence[RungName], picked: str | None, best: Candidate | None
) -> tuple[Status, str]:
    if rung.rung == "cpu_to_gpu" and picked != "cpu_to_gpu" and not (best is None and plan.baseline is None):
        told = "" if plan.baseline is None else _short(plan.case.goal, plan.baseline)
        start = "The start, the cheapest GPU that holds the job" if rung.candidates else "The job has a GPU"
        name = f"{start}: {plan.baseline.instance_type}." if plan.baseline else ""
        return "clear", " ".join(part for part in (name, told) if part)
    if best is None:
        return _nothing(plan, rung)
    if picked == rung.rung:
        return "climb", f"{describe(best)} meets the goal: {figures(best)}."
    if plan.met_already:
        return "later", "The goal is met already."
    if not has_goal(plan.case.goal):
        gain = _gain(plan, best)
        if gain is not None and gain.value < WORTH:
            return "clear", f"It brings {gain.value:.2f} times at best: {describe(best)}."
        return "later", f"{_upper(describe(best))}: {figures(best)}. No goal asks for it."
    if picked is not None and order.index(rung.rung) > order.index(picked):
        return "later", f"A lower rung meets the goal. Here the nearest is {describe(best)}: {figures(best)}."
    gain = _gain(plan, best)
    if gain is not None and gain.value < WORTH and rung.rung in ("loader_workers", "data_store", "trim_preprocessing"):
        return "clear", f"It brings {gain.value:.2f} times: {best.why}."
    return "blocked", f"The nearest, {describe(best)}, falls short: {best.why}."


def _nothing(plan: Plan, rung: RungPlan) -> tuple[Status, str]:
    if rung.rejected:
        return "blocked", f"Nothing can be had: {'; '.join(rung.rejected[:3])}."
    if rung.rung == "trim_preprocessing":
        return "unknown", "Whether samples are stored larger than the model takes them is not known."
    if plan.case.own and rung.rung in ("data_store", "prep_cluster"):
        return "unknown", "What could be attached to a machine that is no EC2 type is not known: say --instance."
    if rung.rung == "data_store":
        return "blocked", "The file system is fixed."
    if rung.rung == "loader_workers":
        return "blocked", "The number of workers is fixed."
    return "blocked", "What is allowed leaves nothing here."


def _closest(goal: Goal, candidates: Sequence[Candidate]) -> Candidate | None:
    """What meets the goal cheapest; else what misses it least; without a goal, the fastest."""
    if not candidates:
        return None
    meets = [candidate for candidate in candidates if candidate.meets_goal]
    if has_goal(goal) and meets:
        return min(meets, key=lambda c: c.total_usd)
    if not has_goal(goal):
        return max(candidates, key=lambda c: c.samples_per_second.value)
    return min(candidates, key=lambda c: _distance(goal, c))


def _distance(goal: Goal, candidate: Candidate) -> float:
    """By how much the worst part of the goal is missed, as a factor."""
    found = [1.0]
    if goal.deadline_hours is not None:
        found.append(candidate.hours.value / goal.deadline_hours)
    if goal.budget_usd is not None:
        found.append(candidate.total_usd / goal.budget_usd)
    if goal.samples_per_second is not None:
        found.append(goal.samples_per_second / max(candidate.samples_per_second.value, 1e-9))
    return max(found)


def _gain(plan: Plan, best: Candidate | None) -> SpeedUp | None:
    """Throughput over the baseline's. On the same machine both share the step's error, which the ratio does not have."""
    start = plan.baseline
    if best is None or start is None or best == start or start.samples_per_second.value <= 0:
        return None
    now, then = start.samples_per_second, best.samples_per_second
    value = then.value / now.value
    if (start.instance_type, start.nodes) != (best.instance_type, best.nodes):
        return SpeedUp(value, then.low / now.value, then.high / now.value)
    apart = math.sqrt(abs(math.log(then.high / then.low) ** 2 - math.log(now.high / now.low) ** 2)) / 2
    factor = math.exp(math.hypot(apart, SAME_MACHINE_ERROR))
    return SpeedUp(value, value / factor, value * factor)


def describe(candidate: Candidate) -> str:
    """A candidate in a few words."""
    count = f"{candidate.nodes} × " if candidate.nodes > 1 else ""
    workers = f"{candidate.loader_workers} loader workers" + (" a GPU" if candidate.accelerators > 1 else "")
    if candidate.loader_workers == 1:
        workers = workers.replace("workers", "worker")
    spot = " (spot)" if candidate.purchase == "spot" else ""
    return f"{count}{candidate.instance_type}{spot} with {candidate.file_system} and {workers}"


def figures(candidate: Candidate) -> str:
    """Its hours and dollars."""
    hours, rate = candidate.hours, candidate.samples_per_second.value
    return (
        f"{duration(hours.value)} ({duration(hours.low)} to {duration(hours.high)}), "
        f"{dollars(candidate)}, {rate:,.0f} samples/s"
    )


def dollars(candidate: Candidate) -> str:
    """What it costs in all, if that is known."""
    return "no known price" if candidate.cost_usd is None else f"${candidate.cost_usd.total:,.0f}"


def duration(hours: float) -> str:
    """Hours as people say them."""
    if hours >= 96:
        return f"{hours / 24:,.1f} days"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min"


def goal_in_words(goal: Goal) -> str:
    """What is asked for."""
    found = []
    if goal.deadline_hours is not None:
        found.append(f"within {duration(goal.deadline_hours)}")
    if goal.budget_usd is not None:
        found.append(f"for at most ${goal.budget_usd:,.0f}")
    if goal.samples_per_second is not None:
        found.append(f"at {goal.samples_per_second:,.0f} samples/s")
    return " ".join(found) or "no goal"


def _short(goal: Goal, candidate: Candidate) -> str:
    return "" if candidate.meets_goal or not has_goal(goal) else f"It falls short: {candidate.why}."


def actions_of(plan: Plan, candidate: Candidate | None) -> tuple[str, ...]:
    """The exact change."""
    if candidate is None:
        return ()
    case = plan.case
    count = f"{candidate.nodes} × " if candidate.nodes > 1 else ""
    start = plan.baseline
    where = f" ({candidate.purchase}, {candidate.region})" if candidate.region else ""
    stays = start is not None and (start.instance_type, start.nodes) == (candidate.instance_type, candidate.nodes)
    found = [] if stays and not plan.case.entry else [f"Run on {count}{candidate.instance_type}{where}"]
    if start is None or start.file_system != candidate.file_system:
        found.append(f"Put the data on {candidate.file_system}")
    found.append(
        f"DataLoader(..., num_workers={candidate.loader_workers}, persistent_workers=True) in each GPU's process"
    )
    if candidate.nodes > 1:
        found.extend(cluster_advice(case, candidate))
    found.extend(f"First, {limit}" for limit in candidate.limits if limit.startswith("staging"))
    found.append("Then `mlscale diagnose` on it: the step may have moved the bottleneck")
    return tuple(found)


def cluster_advice(case: Case, candidate: Candidate) -> list[str]:
    """What several machines need besides."""
    instance = case.facts.catalog.instances[candidate.instance_type]
    exchanged = case.job.workload.gradient_bytes
    found = [f"One cluster placement group for the {candidate.nodes} nodes"]
    if instance.efa:
        found.append(f"EFA on all {instance.efa_interfaces or 1} interfaces, with NCCL's OFI plugin")
    else:
        found.append("No EFA on this type: gradients go over TCP")
    found.append(f"{exchanged / 1e6:,.0f} MB of gradients a step and GPU; keep them in 16 bits if the model allows")
    return found


def verdict_of(plan: Plan) -> Verdict:
    """Why the start is as fast as it is, and what meets the goal."""
    start = plan.baseline
    bottleneck: Bottleneck = "none" if plan.met_already else _bottleneck(start)
    because = []
    if start is not None:
        because.append(f"The start, {describe(start)}: {figures(start)}; {start.why}.")
    if plan.pick is not None:
        chosen = plan.candidates[plan.pick]
        because.append(f"Chosen: {describe(chosen)}, bound by {chosen.limits[0]}.")
    for name, index in (("cheapest", plan.cheapest), ("fastest", plan.fastest)):
        if index is not None:
            because.append(f"The {name} of all: {describe(plan.candidates[index])}: {figures(plan.candidates[index])}.")
    return Verdict(bottleneck, headline(plan), confidence(plan), tuple(because))


def _bottleneck(start: Candidate | None) -> Bottleneck:
    if start is not None and start.bottleneck in get_args(Bottleneck):
        return start.bottleneck  # type: ignore[return-value]
    return "inconclusive"


def headline(plan: Plan) -> str:
    """One sentence for a tired person."""
    goal = plan.case.goal
    if plan.met_already and plan.baseline is not None:
        return f"The goal is met already: {describe(plan.baseline)} takes {figures(plan.baseline)}."
    if plan.pick is not None:
        chosen = plan.candidates[plan.pick]
        return f"Take {describe(chosen)}: {figures(chosen)}."
    if not plan.candidates:
        return f"Nothing that is allowed can run this job{_first_reason(plan)}."
    ends = [plan.candidates[i] for i in (plan.fastest, plan.cheapest) if i is not None]
    told = " to ".join(f"{duration(c.hours.value)} for {dollars(c)} ({c.instance_type})" for c in ends)
    if not has_goal(goal):
        return f"From {told}: give a --deadline or a --budget for a pick."
    told = ", the cheapest ".join(f"{duration(c.hours.value)} for {dollars(c)}" for c in ends)
    return f"Nothing does it {goal_in_words(goal)}: the fastest takes {told}."


def _first_reason(plan: Plan) -> str:
    """What struck most of what was weighed."""
    reasons = [reason for rung in plan.rungs for reason in rung.rejected]
    return f": {reasons[0].rstrip('.')}" if reasons else ""


def confidence(plan: Plan) -> float:
    """The chance that the goal is met by the choice, or by nothing where nothing was found; even where none is asked."""
    goal, index = plan.case.goal, plan.pick
    if not has_goal(goal):
        return EVEN
    chosen = plan.baseline if plan.met_already else plan.candidates[index] if index is not None else None
    if chosen is None:
        return round(1 - max((_meets(goal, candidate) for candidate in plan.candidates), default=0.0), 2)
    return round(_meets(goal, chosen), 2)


def _meets(goal: Goal, candidate: Candidate) -> float:
    """The chance that a candidate meets a goal, by its log-normal intervals; of the goal's parts the worst."""
    found = [1.0]
    if goal.deadline_hours is not None:
        found.append(_chance(goal.deadline_hours, candidate.hours))
    if goal.samples_per_second is not None:
        found.append(1 - _chance(goal.samples_per_second, candidate.samples_per_second))
    if goal.budget_usd is not None:
        cost = candidate.cost_usd
        if cost is None or cost.compute <= 0:
            return 0.0
        found.append(_chance((goal.budget_usd - cost.storage) / cost.compute * candidate.hours.value, candidate.hours))
    return min(found)


def _chance(limit: float, interval: Interval) -> float:
    """That a figure with this 90 % interval stays below a limit."""
    if limit <= 0:
        return 0.0
    log_sd = math.log(interval.high / interval.low) / (2 * Z_90)
    if log_sd <= 0:
        return float(interval.value <= limit)
    return 0.5 * (1 + math.erf(math.log(limit / interval.value) / log_sd / math.sqrt(2)))


def next_step_of(plan: Plan) -> NextStep:
    """The step to take: the pick; without one, what would have to give."""
    if plan.met_already:
        return NextStep(None, ("Nothing to do: the goal is met.",))
    if plan.pick is not None:
        chosen = plan.candidates[plan.pick]
        rung: RungName = chosen.rung  # type: ignore[assignment]
        return NextStep(rung, actions_of(plan, chosen), _gain(plan, chosen))
    goal = plan.case.goal
    if not plan.candidates:
        reasons = dict.fromkeys(reason for rung in plan.rungs for reason in rung.rejected)
        return NextStep(None, ("Allow other families, regions, purchases or file systems", *list(reasons)[:4]))
    if not has_goal(goal):
        return NextStep(None, ("Give a goal: --deadline 24h, --budget 300 or --samples-per-second 2000.",))
    found = []
    if goal.deadline_hours is not None:
        inside = [c for c in plan.candidates if goal.budget_usd is None or c.total_usd <= goal.budget_usd]
        if inside:
            best = min(inside, key=lambda c: c.hours.value)
            found.append(f"Allow {duration(best.hours.value)}: {describe(best)} for {dollars(best)}")
    if goal.budget_usd is not None:
        inside = [c for c in plan.candidates if goal.deadline_hours is None or c.hours.value <= goal.deadline_hours]
        if inside:
            best = min(inside, key=lambda c: c.total_usd)
            found.append(f"Allow {dollars(best)}: {describe(best)} in {duration(best.hours.value)}")
    for name, index in (("fastest", plan.fastest), ("cheapest", plan.cheapest)):
        if not found and index is not None:
            found.append(f"The {name}: {describe(plan.candidates[index])}: {figures(plan.candidates[index])}")
    return NextStep(None, tuple(found))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


__all__ = ["describe", "duration", "figures", "headline", "ladder_of", "next_step_of", "verdict_of"]
