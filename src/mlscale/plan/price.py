"""A predicted setup with its price: hours, dollars, and whether that meets the goal. Pure."""

from __future__ import annotations

from datetime import date

from mlscale.catalog.types import Instance
from mlscale.errors import UsageProblem
from mlscale.model.estimate import Estimate
from mlscale.model.money import Purchase, RunCost, is_stale, run_cost
from mlscale.plan.predict import gpus_of, total_rate, trimmed, workers_per_gpu
from mlscale.plan.result import Candidate, Cost, Goal, Interval
from mlscale.plan.setup import Case, Predicted, Setup


def purchases_of(case: Case) -> tuple[Purchase, ...]:
    """On demand, spot, or both."""
    wanted = case.constraints.purchase
    return ("on-demand", "spot") if wanted == "any" else (wanted,)


def price_problem(instance: Instance, region: str, purchase: Purchase, today: date) -> str:
    """Why a type cannot be bought so there; "" where it can."""
    if instance.retired:
        return "retired: AWS no longer offers it"
    if region not in instance.regions:
        return f"not offered in {region}"
    told = instance.on_demand if purchase == "on-demand" else instance.spot
    price = told.get(region)
    if price is None:
        return f"no {purchase} price in {region} is known"
    if purchase == "spot" and is_stale(instance, "spot", (today - price.source.date).days):
        return f"its spot price is of {price.source.date}: too old to rank anything. Run `mlscale catalog refresh`"
    return ""


def priced(case: Case, predicted: Predicted, region: str, purchase: Purchase) -> Candidate | str:
    """The candidate in one region, bought one way; or why it cannot be had."""
    setup, rate = predicted.setup, total_rate(predicted)
    if rate is None or predicted.node is None or predicted.fetch is None:
        return predicted.problem
    problem = price_problem(setup.instance, region, purchase, case.facts.today)
    if problem:
        return problem
    job = case.job
    try:
        cost = run_cost(
            job.samples,
            rate,
            setup.instance,
            setup.nodes,
            region,
            purchase,
            predicted.fetch,
            trimmed(job.workload, job, setup).dataset,
            job.epochs,
            case.facts.today,
            case.facts.storage,
        )
    except UsageProblem as error:
        return error.message
    hosts_usd = _hosts_usd(setup, region, cost.hours.value)
    if hosts_usd is None:
        return f"no on-demand price of {setup.host.name if setup.host else 'a host'} in {region} is known"
    return candidate(case, predicted, rate, cost, hosts_usd, region, purchase)


def _hosts_usd(setup: Setup, region: str, hours: float) -> float | None:
    if not setup.hosts or setup.host is None:
        return 0.0
    price = setup.host.on_demand.get(region)
    return None if price is None else price.usd_per_hour * setup.hosts * hours


def candidate(
    case: Case,
    predicted: Predicted,
    rate: Estimate,
    cost: RunCost,
    hosts_usd: float,
    region: str,
    purchase: str,
) -> Candidate:
    """All of it, as the report has it."""
    setup, node = predicted.setup, predicted.node
    assert node is not None
    compute = cost.compute_usd + hosts_usd
    money = Cost(compute, cost.storage_usd, compute + cost.storage_usd)
    misses = shortfalls(case.goal, rate.value, cost.hours.value, money.total)
    gpus = gpus_of(setup.instance)
    return Candidate(
        rung=setup.rung,
        instance_type=setup.instance.name,
        nodes=setup.nodes,
        file_system=setup.file_system.name,
        loader_workers=workers_per_gpu(node, gpus),
        samples_per_second=interval(rate),
        bottleneck=node.bottleneck,
        hours=interval(cost.hours),
        cost_usd=money,
        meets_goal=not misses,
        why="; ".join([*misses, *_told(setup), f"bound by {node.binding}"]),
        accelerator=setup.instance.accelerator or "",
        accelerators=setup.instance.accelerators * setup.nodes,
        region=region,
        purchase=purchase,
        limits=(node.binding, *predicted.notes, *cost.notes),
        gpu_busy_fraction=node.gpu_busy_fraction,
    )


def _told(setup: Setup) -> list[str]:
    found = []
    if setup.trimmed:
        found.append("samples stored as small as the model takes them")
    if setup.hosts and setup.host is not None:
        found.append(f"{setup.hosts} × {setup.host.name} prepare data too")
    return found


def interval(estimate: Estimate) -> Interval:
    """An estimate as the report shows it."""
    return Interval(estimate.value, estimate.low, estimate.high)


def shortfalls(goal: Goal, samples_per_s: float, hours: float, usd: float | None) -> list[str]:
    """What is missing to the goal, in numbers; [] where it is met. A budget is not met by a machine without a price."""
    found = []
    if goal.deadline_hours is not None and hours > goal.deadline_hours:
        found.append(f"{hours:,.1f} h, {hours - goal.deadline_hours:,.1f} h over the deadline")
    if goal.budget_usd is not None and usd is None:
        found.append("no price is known, so whether the budget holds cannot be told")
    elif goal.budget_usd is not None and usd is not None and usd > goal.budget_usd:
        found.append(f"${usd:,.0f}, ${usd - goal.budget_usd:,.0f} over the budget")
    if goal.samples_per_second is not None and samples_per_s < goal.samples_per_second:
        found.append(f"{samples_per_s:,.0f} samples/s, {goal.samples_per_second:,.0f} wanted")
    return found


def has_goal(goal: Goal) -> bool:
    """Whether anything is asked for."""
    return not (goal.deadline_hours is None and goal.budget_usd is None and goal.samples_per_second is None)
