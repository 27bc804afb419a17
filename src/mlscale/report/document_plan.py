"""A recommendation as a document: what to take, what it costs and how long it runs, and every way that was weighed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlscale.report import words
from mlscale.report.charts import Frontier, Point
from mlscale.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Facts,
    Figure,
    Line,
    Paragraph,
    Picture,
    Row,
    Said,
    Section,
    Table,
    code,
    dim,
    line,
    said,
    strong,
)
from mlscale.report.document_diagnosis import after_of, ladder_of, raw_measurements, tone_of
from mlscale.report.recommendation import Candidate, Goal, Interval, Recommendation
from mlscale.report.sentences import made

_MOST_POINTS = 600  # of the cost/time chart, besides the frontier


def document(plan: Recommendation) -> Document:
    """The whole recommendation."""
    return Document(
        title=f"Recommendation for {_subject(plan)}",
        subject=_subject(plan),
        headline=plan.verdict.headline,
        tone=tone_of(plan) if plan.pick is None and not _met(plan) else "calm",
        summary=tuple(_summary(plan)),
        sections=tuple(section for section in _sections(plan) if section.blocks),
        made=made(plan.tool, plan.created_at),
    )


def _subject(plan: Recommendation) -> str:
    if plan.workload:
        return f"workload {plan.workload}"
    if plan.job is not None and plan.host is not None:
        return f"process {plan.job.pid} on {plan.host.hostname}"
    return "a workload"


def name_of(candidate: Candidate) -> str:
    """How people call it: "2 × p4d.24xlarge"."""
    return candidate.instance_type if candidate.nodes == 1 else f"{candidate.nodes} × {candidate.instance_type}"


def _summary(plan: Recommendation) -> Iterable[Said]:
    start = plan.baseline
    if start is not None:
        told = f" takes {words.hours(start.hours.value)}, bound by {start.bottleneck.replace('_', ' ')}"
        yield Said("Start", line(strong(name_of(start)), told))
    if plan.pick is None and _met(plan):
        yield Said("Take", line(strong("nothing"), ": the goal is met as it is"))
    elif plan.pick is None:
        yield Said("Take", line(strong("nothing yet"), ": no way that was weighed meets the goal"))
    else:
        pick = plan.candidates[plan.pick]
        yield Said("Take", line(strong(name_of(pick)), f" {_with(pick)}"))
        yield Said(
            "It takes", line(_hours(pick.hours)), Figure(words.hours(pick.hours.value), "Time", _range(pick.hours))
        )
        yield _costs(pick)
    if plan.pick is not None or _met(plan):
        yield Said("How sure", line(f"{words.confidence(plan.verdict.confidence)} that it meets the goal"))
    if plan.next_step.actions:
        yield Said("First step", said(plan.next_step.actions[0]))


def _costs(pick: Candidate) -> Said:
    cost = pick.cost_usd
    if cost is None:
        return Said("It costs", line("what this machine costs you: it has no known price"))
    parts = f"compute {words.usd(cost.compute)}, storage {words.usd(cost.storage)}"
    return Said("It costs", line(f"{words.usd(cost.total)} ({parts})"), Figure(words.usd(cost.total), "Cost", parts))


def _met(plan: Recommendation) -> bool:
    return plan.verdict.bottleneck == "none" or (plan.baseline is not None and plan.baseline.meets_goal)


def _with(candidate: Candidate) -> str:
    parts = [f"with {candidate.file_system}"] if candidate.file_system else []
    if candidate.loader_workers:
        parts.append(f"{words.count(candidate.loader_workers, 'loader worker')}")
    if candidate.purchase:
        parts.append(candidate.purchase)
    text = ", ".join(parts)
    return f"{text} in {candidate.region}" if candidate.region else text


def _hours(hours: Interval) -> str:
    return f"{words.hours(hours.value)} (90% interval {words.hours(hours.low)} – {words.hours(hours.high)})"


def _range(hours: Interval) -> str:
    return f"{words.hours(hours.low)} – {words.hours(hours.high)}"


def _sections(plan: Recommendation) -> Iterable[Section]:
    yield Section("The goal", (Facts(tuple(_goal(plan.goal))),))
    if len(plan.next_step.actions) > 1:
        steps = tuple(said(text, "" if place else "strong") for place, text in enumerate(plan.next_step.actions))
        yield Section("What to do", (Bullets(steps, numbered=True),))
    missing, notes = words.split_warnings(plan.warnings)
    if notes:
        yield Section("Also note", (Bullets(tuple(said(note) for note in notes)),))
    if any(candidate.cost_usd is not None for candidate in plan.candidates):
        yield Section("Cost and time", (Picture(frontier(plan)),))
    if plan.candidates:
        yield Section("The candidates", (_candidates(plan),))
    yield Section("The ladder", (ladder_of(plan),) if plan.ladder else ())
    after = after_of(plan)
    if after is not None:
        yield Section(after.title, (Picture(after),))
    if plan.verdict.because:
        yield Section("Evidence", (Bullets(tuple(said(text) for text in plan.verdict.because)),), fold="text")
    if plan.rejected:
        yield Section("What could not be had", (Bullets(tuple(said(text) for text in plan.rejected)),), fold="always")
    yield Section("How it was planned", tuple(_how(plan, missing)), fold="text")
    if plan.measurements:
        yield Section("Raw numbers", (raw_measurements(plan.measurements),), fold="always")


def _goal(goal: Goal) -> Iterable[tuple[str, Line]]:
    asked = [
        ("deadline", goal.deadline_hours and f"within {words.hours(goal.deadline_hours)}"),
        ("budget", goal.budget_usd and f"for at most {words.usd(goal.budget_usd)}"),
        ("rate", goal.samples_per_second and f"at least {words.quantity(goal.samples_per_second, 'samples/s')}"),
    ]
    found = [(name, line(strong(text))) for name, text in asked if text]
    yield from found or [("asked for", line("nothing in particular: the first rung that helps"))]
    if goal.samples > 0:
        epochs = f" in {words.quantity(goal.epochs, 'epochs')}" if goal.epochs > 1 else ""
        yield "the run", line(f"{goal.samples:,.0f} samples{epochs}")
    if goal.region:
        yield "region", line(goal.region)


def frontier(plan: Recommendation) -> Frontier:
    """Cost against time, with those that no other beats in both."""
    best: set[int] = set()
    cheapest = float("inf")
    priced = [i for i in range(len(plan.candidates)) if _at(plan, i).cost_usd is not None]
    for index in sorted(priced, key=lambda i: (_at(plan, i).hours.value, _at(plan, i).total_usd)):
        if _at(plan, index).total_usd < cheapest:
            cheapest = _at(plan, index).total_usd
            best.add(index)
    named = {plan.fastest: "fastest", plan.cheapest: "cheapest", plan.pick: "pick"}
    shown = [i for i in priced if i in best or i in named]
    shown += [i for i in priced if i not in best and i not in named][:_MOST_POINTS]
    points = tuple(
        Point(
            name_of(c),
            c.hours.value,
            c.total_usd,
            c.hours.low,
            c.hours.high,
            named.get(i, "good" if c.meets_goal else ""),
            i in best,
        )
        for i in shown
        for c in (_at(plan, i),)
    )
    told = [f"{len(plan.candidates)} candidates"]
    told += [
        f"{p.tone}: {p.name}, {words.hours(p.hours)}, {words.usd(p.usd)}" for p in points if p.tone in named.values()
    ]
    says = f"Cost against time. {'; '.join(told)}."
    return Frontier("Cost and time", says, points, plan.goal.deadline_hours, plan.goal.budget_usd)


def _at(plan: Recommendation, index: int) -> Candidate:
    return plan.candidates[index]


def _candidates(plan: Recommendation) -> Table:
    """The pick first, then what meets the goal, then the rest; the cheaper the earlier."""
    order = sorted(
        range(len(plan.candidates)),
        key=lambda i: (i != plan.pick, not _at(plan, i).meets_goal, _at(plan, i).total_usd),
    )
    rows = [_row(_at(plan, i), _mark(plan, i), "next" if i == plan.pick else "") for i in order]
    if plan.baseline is not None:
        rows.append(_row(plan.baseline, "now", "dim"))
    columns = (
        Column(""),
        Column("instance"),
        Column("rung"),
        Column("cost", True),
        Column("time", True),
        Column("meets goal"),
        Column("samples/s", True),
        Column("limited by"),
        Column("data"),
        Column("workers", True),
        Column("why"),
    )
    return Table("Candidates", columns, tuple(rows), sortable=True)


def _cost(candidate: Candidate) -> Cell:
    cost = candidate.cost_usd
    return Cell(line("–")) if cost is None else Cell(line(words.usd(cost.total)), cost.total)


def _mark(plan: Recommendation, index: int) -> str:
    names = [
        name
        for name, at in (("pick", plan.pick), ("cheapest", plan.cheapest), ("fastest", plan.fastest))
        if at == index
    ]
    return ", ".join(names)


def _row(candidate: Candidate, mark: str, tone: str) -> Row:
    rate = candidate.samples_per_second
    instance = [name_of(candidate)]
    if candidate.accelerator:
        instance.append(f" {candidate.accelerators:g} × {candidate.accelerator}")
    if candidate.purchase and candidate.purchase != "on-demand":
        instance.append(f" {candidate.purchase}")
    return Row(
        (
            Cell(line(mark)),
            Cell(line(instance[0], dim("".join(instance[1:])))),
            Cell(line(candidate.rung)),
            _cost(candidate),
            Cell(line(words.hours(candidate.hours.value)), candidate.hours.value),
            Cell(line("yes" if candidate.meets_goal else "no")),
            Cell(line(words.quantity(rate.value, "")), rate.value),
            Cell(line(candidate.bottleneck.replace("_", " "))),
            Cell(line(candidate.file_system)),
            Cell(line(str(candidate.loader_workers)), candidate.loader_workers),
            Cell(line(candidate.why)),
        ),
        tone,
    )


def _how(plan: Recommendation, missing: Sequence[tuple[str, str]]) -> Iterable[Block]:
    yield Paragraph(line("Rates and times are predicted; ranges are 90% intervals."))
    rows: list[tuple[str, Line]] = []
    if plan.workload:
        rows.append(("workload", line(plan.workload)))
    if plan.job is not None and plan.job.command:
        rows.append(("job", line(code(plan.job.command))))
    if plan.window is not None:
        rows.append(("watched", line(f"{words.seconds(plan.window.steady_s)} of steady training")))
    rows.append(("made by", line(made(plan.tool, plan.created_at))))
    rows += [("not measured", line(f"{names}: {reason}")) for names, reason in missing]
    yield Facts(tuple(rows))
