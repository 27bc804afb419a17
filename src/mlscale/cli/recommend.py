"""`mlscale recommend`: a plan from a workload profile, or from a job that was watched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mlscale.cli.options import nearest
from mlscale.cli.output import Output, emit, say
from mlscale.errors import UsageProblem

if TYPE_CHECKING:
    from mlscale.catalog.types import Catalog, FileSystem, Instance
    from mlscale.measure import Measurement
    from mlscale.plan.job import PlannedJob
    from mlscale.plan.setup import Case, Constraints, Facts, Setup
    from mlscale.report.report import Report

DEFAULT_REGION = "us-east-1"
SETTINGS = ("loader_workers", "file_system", "instance_type", "nodes", "batch_per_gpu", "precision")
_HOURS = {"s": 1 / 3600, "m": 1 / 60, "min": 1 / 60, "h": 1.0, "": 1.0, "d": 24.0, "w": 168.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(min|s|m|h|d|w|)", re.ASCII)


@dataclass(frozen=True)
class Request:
    """What the command line asks for; None or empty where it says nothing. `sources`: a diagnosis, or probes."""

    output: Output
    workload: str | None = None
    sources: tuple[Path, ...] = ()
    deadline: str | None = None
    budget: float | None = None
    samples_per_second: float | None = None
    regions: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    instance: str | None = None
    accelerator: str | None = None
    purchase: str = "on-demand"
    max_nodes: int = 16
    efa: bool = False
    keep_file_system: bool = False
    epochs: float | None = None
    samples: str | None = None
    dataset_gb: float | None = None
    parameters: str | None = None
    settings: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    quiet: bool = False


def run(request: Request) -> int:
    """Plans and reports. Gives the exit code; raises MlscaleError."""
    from mlscale.plan.climb import climb
    from mlscale.report.build_recommendation import recommendation_of
    from mlscale.report.formats import render

    now = datetime.now(timezone.utc)
    facts = read_facts(now)
    asked = case_of(request, facts)
    plan = climb(asked.case)
    report = recommendation_of(
        plan,
        now,
        watched=asked.watched,
        measurements=asked.measurements,
        warnings=(*asked.warnings, *stale_facts(plan, facts)),
    )
    code = emit(request.output, lambda color, width: render(report, request.output.format, color, width))
    if code == 0 and request.output.path is not None and not request.quiet:
        say(f"mlscale: {report.verdict.headline} The report is in {request.output.path}.")
    return code


def read_facts(now: datetime) -> Facts:
    """The catalog, refreshed if it was, and the models' constants."""
    from mlscale.calibration.exchange import read_exchange_constants
    from mlscale.calibration.other_gpu import read_constants
    from mlscale.calibration.storage import read_storage_constants
    from mlscale.catalog.current import current
    from mlscale.catalog.read import profiles
    from mlscale.plan.setup import Facts

    folder = profiles() / "calibration"
    return Facts(
        current(),
        read_storage_constants(folder / "storage.yaml"),
        read_constants(folder / "other_gpu.yaml"),
        read_exchange_constants(folder / "exchange.yaml"),
        now.date(),
    )


@dataclass(frozen=True)
class Asked:
    """The question, the diagnosis that it continues, the figures it rests on, and what has to be said of them."""

    case: Case
    watched: Report | None
    measurements: Mapping[str, Measurement]
    warnings: tuple[str, ...]


def case_of(request: Request, facts: Facts) -> Asked:
    """What is asked, and of which job. Raises MlscaleError."""
    from mlscale.cli.recommend_from import opened_sources, watched_job
    from mlscale.cli.recommend_probes import probed_job
    from mlscale.plan.result import Goal
    from mlscale.plan.setup import Case
    from mlscale.report.report import Report

    _check(request)
    limits, settings = _constraints(request, facts.catalog)
    warnings: list[str] = []
    watched: Report | None = None
    measurements: Mapping[str, Measurement] = {}
    measured: tuple[float, float, float] | None = None
    start: Setup | None = None
    source = opened_sources(request.sources)
    if isinstance(source, Report):
        found = watched_job(request.sources[0], source, request, settings, facts)
        job, watched, start, measured = found.job, found.report, found.start, found.rate
        measurements = watched.measurements
    elif source:
        probed = probed_job(source, request, settings, facts)
        job, measurements = probed.job, probed.measurements
    else:
        job = _profiled(request, settings, facts)
    if watched is None and request.instance is not None:
        start = _start(request, limits, facts.catalog)
        if limits.workers is None:
            warnings.append(
                f"How many loader workers run on {request.instance} is not known: as many as help are assumed. "
                "Say --set loader_workers=N."
            )
        if not limits.file_systems:
            warnings.append(
                f"Where the data lies is not known: {start.file_system.name} is assumed. Say --set file_system=NAME."
            )
    if start is not None and request.keep_file_system:
        limits = replace(limits, file_systems=(start.file_system,))
    goal = Goal(
        deadline_hours=None if request.deadline is None else hours("--deadline", request.deadline),
        budget_usd=request.budget,
        samples_per_second=request.samples_per_second,
        region=limits.regions[0] if len(limits.regions) == 1 else "any",
        samples=job.samples,
        epochs=job.epochs,
    )
    case = Case(
        job,
        goal,
        limits,
        facts,
        start,
        None if measured is None else measured[0],
        None if measured is None else (measured[1], measured[2]),
        own=start is not None and start.instance.name not in {**facts.catalog.instances, **facts.catalog.hosts},
    )
    return Asked(case, watched, measurements, tuple(warnings))


def stale_facts(plan: Any, facts: Facts) -> tuple[str, ...]:
    """What the report must say of old prices."""
    from mlscale.catalog.age import stale

    regions = plan.case.constraints.regions
    return stale(facts.catalog, facts.today, regions[0] if len(regions) == 1 else None)


def hours(option: str, text: str) -> float:
    """Hours of "24h", "90m", "2d"; a bare number is hours."""
    match = _TIME.fullmatch(text.strip().lower())
    value = float(match[1]) * _HOURS[match[2]] if match else 0.0
    if not 0 < value < 1e6:
        raise UsageProblem(f"{option} {text}: not a length of time. Write 6h, 90m or 2d.")
    return value


def count(option: str, text: str) -> float:
    """A number with an optional K, M or B (10^3, 10^6, 10^9)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmbt]?)", text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise UsageProblem(f"{option} {text}: not a number. Write 25.6M, 7B or 7e9.")
    return float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}[match[2]]


def samples_of(request: Request) -> float | None:
    """Of the whole run, where it says so."""
    return None if request.samples is None else count("--samples", request.samples)


def _check(request: Request) -> None:
    if request.workload is None and not request.sources:
        raise UsageProblem(
            "recommend needs a job to plan for: --workload NAME (see `mlscale workloads list`) or --from report.json."
        )
    for option, value in (
        ("--budget", request.budget),
        ("--samples-per-second", request.samples_per_second),
        ("--epochs", request.epochs),
        ("--dataset-gb", request.dataset_gb),
    ):
        if value is not None and not 0 < value < 1e18:
            raise UsageProblem(f"{option} {value:g}: must be above 0.")
    if not 1 <= request.max_nodes <= 1000:
        raise UsageProblem(f"--max-nodes {request.max_nodes}: from 1 to 1000.")
    if request.dataset_gb is not None and not request.sources:
        raise UsageProblem(
            "--dataset-gb goes with --from; a workload profile has its own data set (edit a copy of it)."
        )


def _constraints(request: Request, catalog: Catalog) -> tuple[Constraints, dict[str, str]]:
    from mlscale.catalog.read import file_systems_of, find_instance
    from mlscale.plan.setup import Constraints, PurchaseChoice

    settings = _settings(request.settings)
    purchase = one_of("--purchase", request.purchase, get_args(PurchaseChoice))
    stores: tuple[FileSystem, ...] = ()
    if "file_system" in settings:
        stores = file_systems_of(catalog, settings["file_system"])
    named = [*request.compare, *([settings["instance_type"]] if "instance_type" in settings else [])]
    instances = tuple(find_instance(catalog, name).name for name in named)
    families = tuple(_family(name, catalog) for name in request.families)
    limits = Constraints(
        regions=_regions(request.regions, catalog),
        families=families,
        instances=instances,
        file_systems=stores,
        workers=_whole(settings, "loader_workers", 0, 256),
        nodes=_whole(settings, "nodes", 1, 1000),
        max_nodes=request.max_nodes,
        efa=request.efa,
        purchase=purchase,  # type: ignore[arg-type]
    )
    _possible(limits, catalog)
    return limits, settings


def _possible(limits: Constraints, catalog: Catalog) -> None:
    """Refuses what contradicts itself, naming the constraint that leaves nothing."""
    left = [i for i in catalog.instances.values() if i.accelerators > 0]
    wanted: tuple[tuple[str, Callable[[Instance], bool]], ...] = (
        ("--compare or --set instance_type", lambda i: not limits.instances or i.name in limits.instances),
        ("--families", lambda i: not limits.families or i.family in limits.families),
        ("--efa", lambda i: i.efa or not limits.efa),
        ("retirement", lambda i: not i.retired),
        ("--region", lambda i: any(region in i.regions for region in limits.regions)),
    )
    for what, keep in wanted:
        kept = [i for i in left if keep(i)]
        if not kept:
            names = ", ".join(sorted({i.name for i in left})[:4])
            problem = {
                "--efa": f"None of {names} has EFA. Leave --efa out, or allow other families.",
                "retirement": f"AWS no longer offers {names}. Name current types (see `mlscale catalog list`).",
                "--region": f"--region: {names} cannot be had in {', '.join(limits.regions)}. Name another.",
            }.get(what, f"{what} leaves no type with an accelerator.")
            raise UsageProblem(problem)
        left = kept


def _settings(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not value.strip():
            raise UsageProblem(f"--set {text}: write KEY=VALUE, such as loader_workers=16.")
        if key not in SETTINGS:
            near = nearest(key, SETTINGS)
            hint = f"Did you mean {near}? " if near else ""
            raise UsageProblem(f"--set {key}: no such setting. {hint}There are {', '.join(SETTINGS)}.")
        found[key] = value.strip()
    return found


def _whole(settings: dict[str, str], key: str, least: int, most: int) -> int | None:
    if key not in settings:
        return None
    text = settings[key]
    if not text.isdigit() or not least <= int(text) <= most:
        raise UsageProblem(f"--set {key}={text}: a whole number from {least} to {most}.")
    return int(text)


def one_of(option: str, value: str, known: Sequence[str]) -> str:
    """`value` if it is one of `known`; else one line with the nearest."""
    if value in known:
        return value
    near = nearest(value, known)
    raise UsageProblem(f"{option} {value}: there are {', '.join(known)}." + (f" Did you mean {near}?" if near else ""))


def _regions(names: Sequence[str], catalog: Catalog) -> tuple[str, ...]:
    known = sorted({region for instance in catalog.instances.values() for region in instance.regions})
    if not names:
        return (DEFAULT_REGION,)
    if any(name.lower() in ("all", "any") for name in names):
        return tuple(r for r in known if any(r in i.on_demand for i in catalog.instances.values()))
    return tuple(dict.fromkeys(one_of("--region", name.strip().lower(), known) for name in names))


def _family(name: str, catalog: Catalog) -> str:
    known = sorted({instance.family for instance in catalog.instances.values()})
    return one_of("--families", name.strip().lower(), known)


def _profiled(request: Request, settings: dict[str, str], facts: Facts) -> PlannedJob:
    from mlscale.catalog.read import find_accelerator
    from mlscale.catalog.workloads import find_workload
    from mlscale.plan.job import planned

    workload = find_workload(request.workload or "")
    workload = adjusted(workload, settings)
    reference = find_accelerator(facts.catalog, workload.step.reference)
    return planned(workload, reference, epochs=request.epochs, samples=samples_of(request))


def adjusted(workload: Any, settings: dict[str, str]) -> Any:
    """The workload with what --set says of its step."""
    from mlscale.catalog.types import Precision

    batch = _whole(settings, "batch_per_gpu", 1, 1_000_000)
    if batch is not None:
        workload = replace(workload, step=replace(workload.step, batch_per_gpu=batch))
    if "precision" in settings:
        wanted = one_of("--set precision", settings["precision"], get_args(Precision))
        if wanted != workload.step.precision:
            raise UsageProblem(
                f"--set precision={wanted}: the profile's step was measured in {workload.step.precision}. "
                "Make a profile of the other with `mlscale workloads new`."
            )
    return workload


def _start(request: Request, limits: Constraints, catalog: Catalog) -> Setup:
    from mlscale.catalog.read import find_instance
    from mlscale.plan.rungs import FIRST_STORE
    from mlscale.plan.setup import Setup

    instance: Instance = find_instance(catalog, request.instance or "")
    store = limits.file_systems[0] if limits.file_systems else catalog.file_systems[FIRST_STORE]
    return Setup("cpu_to_gpu", instance, limits.nodes or 1, store, limits.workers)
