"""The climb: every rung's candidates, the lowest rung that meets the goal, the cheapest in it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mlscale.model.estimate import Z_90, Estimate
from mlscale.model.money import Purchase
from mlscale.plan.predict import Machine, gpus_of, machine, predict, total_rate, workers_per_gpu
from mlscale.plan.price import has_goal, interval, price_problem, priced, purchases_of, shortfalls
from mlscale.plan.result import Candidate
from mlscale.plan.rungs import RUNGS
from mlscale.plan.setup import Case, Plan, Predicted, RungPlan, Setup

KEEPING = ("loader_workers", "data_store", "trim_preprocessing")  # the rungs that keep the machine
Machines = dict[tuple[str, int], Machine | str]


def climb(case: Case) -> Plan:
    """Weighs all rungs from the start up. Without a start, the cheapest GPU machine that holds the job is one."""
    machines: Machines = {}
    met = False
    baseline: Candidate | None = None
    plans: list[RungPlan] = []
    if case.start is not None:
        told = _baseline(case, case.start, machines)
        baseline = None if isinstance(told, str) else told
        met = baseline is not None and has_goal(case.goal) and baseline.meets_goal
    for rung, setups in RUNGS:
        if rung == "cpu_to_gpu" and case.start is None:
            plan, entry = _entry(case, list(setups(case)), machines)
            plans.append(plan)
            if entry is None:
                continue
            case = replace(case, start=entry, entry=True)
            baseline = plan.candidates[0]
            continue
        plans.append(_weigh(case, rung, setups(case), machines))
    candidates: list[Candidate] = [c for plan in plans for c in plan.candidates]
    pick = None if met else _pick(case, plans, candidates)
    return Plan(
        case,
        baseline,
        met,
        tuple(candidates),
        tuple(plans),
        pick,
        _least(candidates, lambda c: (c.total_usd, c.hours.value), priced=True),
        _least(candidates, lambda c: (c.hours.value, c.total_usd)),
    )


def _baseline(case: Case, start: Setup, machines: Machines) -> Candidate | str:
    """Where the job runs now, as it was measured or as the model has it. Retired types have their last known price."""
    predicted = predict(case.job, start, _machine(case, start, machines), case.facts)
    if predicted.node is None:
        return predicted.problem
    if case.measured_samples_per_s is not None:
        low, high = case.measured_interval or (case.measured_samples_per_s, case.measured_samples_per_s)
        log_sd = max(0.0, high - low) / case.measured_samples_per_s / (2 * Z_90)
        rate = Estimate(case.measured_samples_per_s / start.nodes, log_sd)
        predicted = replace(predicted, node=replace(predicted.node, samples_per_s=rate))
    return _as_it_is(case, predicted)


def _as_it_is(case: Case, predicted: Predicted) -> Candidate | str:
    """A machine that one has: at its last known price where it is retired or sold elsewhere, without one where none is."""
    for region in case.constraints.regions:
        instance = replace(predicted.setup.instance, retired=False, regions=(region,))
        found = priced(case, replace(predicted, setup=replace(predicted.setup, instance=instance)), region, "on-demand")
        if not isinstance(found, str):
            return found
    return _unpriced(case, predicted)


def _unpriced(case: Case, predicted: Predicted) -> Candidate | str:
    """A machine of one's own, or one whose price nobody publishes: rate and hours, and no dollars."""
    rate, node, setup = total_rate(predicted), predicted.node, predicted.setup
    if rate is None or node is None:
        return predicted.problem
    hours = Estimate(case.job.samples / rate.value / 3600, rate.log_sd)
    misses = shortfalls(case.goal, rate.value, hours.value, None)
    return Candidate(
        setup.rung,
        setup.instance.name,
        setup.nodes,
        setup.file_system.name,
        workers_per_gpu(node, gpus_of(setup.instance)),
        interval(rate),
        node.bottleneck,
        interval(hours),
        None,
        not misses,
        "; ".join([*misses, f"bound by {node.binding}"]),
        setup.instance.accelerator or "",
        setup.instance.accelerators * setup.nodes,
        purchase="",
        limits=(node.binding,),
        gpu_busy_fraction=node.gpu_busy_fraction,
    )


def _entry(case: Case, setups: Sequence[Setup], machines: Machines) -> tuple[RungPlan, Setup | None]:
    """The cheapest machine by the hour that holds the job: where a team without one starts."""
    rejected: list[str] = []
    priced_setups: list[tuple[float, Setup, str]] = []
    for setup in setups:
        for region in case.constraints.regions:
            for purchase in purchases_of(case):
                problem = price_problem(setup.instance, region, purchase, case.facts.today)
                if problem:
                    rejected.append(f"{setup.instance.name}: {problem}")
                    continue
                told = setup.instance.on_demand if purchase == "on-demand" else setup.instance.spot
                priced_setups.append((told[region].usd_per_hour, setup, region))
    for _, setup, region in sorted(priced_setups, key=lambda item: item[0]):
        predicted = predict(case.job, setup, _machine(case, setup, machines), case.facts)
        for purchase in purchases_of(case):
            found = priced(case, predicted, region, purchase)
            if not isinstance(found, str):
                return RungPlan("cpu_to_gpu", (found,), _tally(rejected)), setup
        rejected.append(f"{setup.instance.name}: {predicted.problem or found}")
    return RungPlan("cpu_to_gpu", (), _tally(rejected)), None


def _weigh(case: Case, rung: str, setups: Iterable[Setup], machines: Machines) -> RungPlan:
    """All setups of a rung, and of each machine the best: what meets the goal cheapest, what is cheapest, what fastest."""
    rejected: list[str] = []
    groups: dict[tuple[str, int, int, str, str], list[Candidate]] = {}
    sold: dict[tuple[str, int], list[tuple[str, Purchase]]] = {}
    for setup in setups:
        made = _machine(case, setup, machines)
        if isinstance(made, str):
            rejected.append(f"{_name(setup)}: {made}")
            continue
        if _keeps(case, rung, setup):
            predicted = predict(case.job, setup, made, case.facts)
            found = _as_it_is(case, predicted) if not predicted.problem else predicted.problem
            if isinstance(found, str):
                rejected.append(f"{_name(setup)} with {setup.file_system.name}: {found}")
            else:
                groups.setdefault(
                    (setup.instance.name, setup.nodes, setup.hosts, "", setup.file_system.name), []
                ).append(found)
            continue
        wanted = sold.get((setup.instance.name, setup.hosts))
        if wanted is None:
            found_in = (_cheapest_region(case, setup, purchase) for purchase in purchases_of(case))
            wanted = sold[setup.instance.name, setup.hosts] = [place for place in found_in if place is not None]
        if not wanted:
            first = case.constraints.regions[0]
            problem = price_problem(setup.instance, first, purchases_of(case)[0], case.facts.today)
            rejected.append(f"{_name(setup)}: {problem}")
            continue
        predicted = predict(case.job, setup, made, case.facts)
        if predicted.problem:
            rejected.append(f"{_name(setup)} with {setup.file_system.name}: {predicted.problem}")
            continue
        for region, purchase in wanted:
            found = priced(case, predicted, region, purchase)
            if isinstance(found, str):
                rejected.append(f"{_name(setup)}: {found}")
            else:
                store = setup.file_system.name if rung == "data_store" else ""
                key = (setup.instance.name, setup.nodes, setup.hosts, purchase, store)
                groups.setdefault(key, []).append(found)
    kept = [candidate for group in groups.values() for candidate in _best(group)]
    return RungPlan(rung, tuple(sorted(kept, key=_order)), _tally(rejected))  # type: ignore[arg-type]


def _keeps(case: Case, rung: str, setup: Setup) -> bool:
    """Whether a step keeps the machine that the job runs on, bought or not."""
    start = case.start
    if start is None or case.entry or rung not in KEEPING:
        return False
    return setup.instance.name == start.instance.name and not setup.hosts


def _cheapest_region(case: Case, setup: Setup, purchase: Purchase) -> tuple[str, Purchase] | None:
    """Where the machine costs least of where it can be had: a region changes nothing else of a candidate."""
    sold = [r for r in case.constraints.regions if not price_problem(setup.instance, r, purchase, case.facts.today)]
    if setup.host is not None:
        sold = [region for region in sold if region in setup.host.on_demand]
    told = setup.instance.on_demand if purchase == "on-demand" else setup.instance.spot
    return (min(sold, key=lambda region: told[region].usd_per_hour), purchase) if sold else None


def _machine(case: Case, setup: Setup, machines: Machines) -> Machine | str:
    key = (setup.instance.name, setup.nodes)
    if key not in machines:
        machines[key] = machine(case.job, setup.instance, setup.nodes, case.facts)
    return machines[key]


def _best(group: Sequence[Candidate]) -> list[Candidate]:
    """Of one machine's stores and regions: the cheapest that meets the goal, else the cheapest and the fastest."""
    meets = [candidate for candidate in group if candidate.meets_goal]
    if meets:
        return [min(meets, key=_order)]
    cheapest = min(group, key=lambda c: (c.total_usd, c.hours.value))
    fastest = min(group, key=lambda c: (c.hours.value, c.total_usd))
    return [cheapest] if fastest.hours.value > cheapest.hours.value * 0.98 else [cheapest, fastest]


def _order(candidate: Candidate) -> tuple[bool, float, float]:
    return (not candidate.meets_goal, candidate.total_usd, candidate.hours.value)


def _pick(case: Case, plans: Sequence[RungPlan], candidates: Sequence[Candidate]) -> int | None:
    """The lowest rung with a candidate that meets the goal; the cheapest there. None without a goal, or without one."""
    if not has_goal(case.goal):
        return None
    for plan in plans:
        meets = [candidate for candidate in plan.candidates if candidate.meets_goal]
        if meets:
            return candidates.index(min(meets, key=_order))
    return None


def _least(
    candidates: Sequence[Candidate], key: Callable[[Candidate], tuple[float, float]], *, priced: bool = False
) -> int | None:
    """Which candidate has the least `key`, of those with a price if so wanted."""
    among = [number for number, c in enumerate(candidates) if not priced or c.cost_usd is not None]
    return min(among, key=lambda number: key(candidates[number]), default=None)


def _name(setup: Setup) -> str:
    return f"{setup.nodes} × {setup.instance.name}" if setup.nodes > 1 else setup.instance.name


def _tally(rejected: Sequence[str]) -> tuple[str, ...]:
    """The same reason once, with how many it struck."""
    reasons = Counter(text.partition(": ")[2] for text in rejected)
    named = {text.partition(": ")[2]: text.partition(": ")[0] for text in reversed(rejected)}
    return tuple(
        f"{named[reason]}: {reason}" if number == 1 else f"{named[reason]} and {number - 1} more: {reason}"
        for reason, number in reasons.most_common()
    )
