"""The climb, over the shipped catalog and models."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlscale.catalog.read import find_accelerator, find_file_system, find_instance
from mlscale.catalog.workloads import find_workload
from mlscale.cli.recommend import read_facts
from mlscale.plan.climb import climb
from mlscale.plan.job import Trim, planned
from mlscale.plan.result import Candidate, Goal
from mlscale.plan.setup import Case, Constraints, Facts, Plan, Setup
from mlscale.plan.walk import headline, ladder_of, next_step_of, verdict_of

ORDER = (
    "cpu_to_gpu",
    "loader_workers",
    "data_store",
    "trim_preprocessing",
    "prep_cluster",
    "bigger_gpu",
    "multi_gpu_node",
    "cluster",
)
NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return read_facts(NOW)


def case(
    facts: Facts,
    workload: str = "resnet50-imagenet",
    *,
    hours: float | None = None,
    usd: float | None = None,
    rate: float | None = None,
    limits: Constraints = Constraints(),
    start: str | None = None,
) -> Case:
    profile = find_workload(workload)
    job = planned(profile, find_accelerator(facts.catalog, profile.step.reference), epochs=None, samples=None)
    setup = None
    if start is not None:
        store = find_file_system(facts.catalog, "s3-standard")
        setup = Setup("cpu_to_gpu", find_instance(facts.catalog, start), 1, store, None)
    goal = Goal(hours, usd, rate, limits.regions[0], job.samples, job.epochs)
    return Case(job, goal, limits, facts, setup)


def picked(plan: Plan) -> Candidate:
    assert plan.pick is not None
    return plan.candidates[plan.pick]


def test_the_question_of_the_readme(facts: Facts) -> None:
    plan = climb(case(facts, hours=24, usd=300))
    pick = picked(plan)
    assert pick.meets_goal and pick.hours.value <= 24 and pick.cost_usd.total <= 300
    assert pick.region == "us-east-1" and pick.loader_workers > 0
    assert next_step_of(plan).rung == pick.rung
    assert pick.instance_type in headline(plan)


def test_the_lowest_rung_and_the_cheapest_in_it(facts: Facts) -> None:
    plan = climb(case(facts, hours=12))
    pick = picked(plan)
    lower = [c for c in plan.candidates if ORDER.index(c.rung) < ORDER.index(pick.rung)]
    assert not any(c.meets_goal for c in lower)
    same = [c for c in plan.candidates if c.rung == pick.rung and c.meets_goal]
    assert pick.cost_usd.total == min(c.cost_usd.total for c in same)
    statuses = {rung.rung: rung.status for rung in ladder_of(plan)}
    assert statuses[pick.rung] == "climb"  # type: ignore[index]
    assert list(statuses) == list(ORDER)
    assert all(statuses[rung] != "climb" for rung in ORDER if rung != pick.rung)  # type: ignore[index]


def test_each_rung_below_says_why_it_falls_short(facts: Facts) -> None:
    plan = climb(case(facts, hours=6, usd=500))
    pick = picked(plan)
    for rung in ladder_of(plan)[: ORDER.index(pick.rung)]:
        assert rung.status in ("clear", "blocked", "unknown")
        assert rung.status == "unknown" or any(figure.isdigit() for figure in rung.because), rung
        assert rung.citation.startswith("White paper")


def test_a_goal_that_nobody_can_meet(facts: Facts) -> None:
    plan = climb(case(facts, hours=0.5, usd=5))
    assert plan.pick is None and not plan.met_already
    assert plan.cheapest is not None and plan.fastest is not None
    assert not any(rung.status == "climb" for rung in ladder_of(plan))
    assert headline(plan).startswith("Nothing does it within 30 min for at most $5")
    actions = " ".join(next_step_of(plan).actions)
    assert "Allow $" in actions


def test_a_goal_that_is_met_already(facts: Facts) -> None:
    plan = climb(case(facts, hours=100, start="p4d.24xlarge"))
    assert plan.met_already and plan.pick is None
    assert verdict_of(plan).bottleneck == "none"
    assert "met already" in headline(plan)


def test_a_retired_type_can_be_the_start_and_is_never_offered(facts: Facts) -> None:
    plan = climb(case(facts, hours=48, start="p3.2xlarge"))
    assert plan.baseline is not None and plan.baseline.instance_type == "p3.2xlarge"
    retired = {name for name, instance in facts.catalog.instances.items() if instance.retired}
    machines = {c.instance_type for c in plan.candidates if c.rung in ("bigger_gpu", "multi_gpu_node", "cluster")}
    assert not machines & retired


def test_inference_chips_are_not_offered_and_trainium_only_by_name(facts: Facts) -> None:
    families = {c.instance_type.split(".")[0] for c in climb(case(facts, hours=24)).candidates}
    assert not families & {"inf1", "inf2", "dl2q", "trn1", "trn2"}
    named = climb(case(facts, limits=Constraints(families=("trn1",))))
    assert {c.instance_type.split(".")[0] for c in named.candidates} == {"trn1"}


def test_eight_gpus_on_pcie_are_not_eight_on_nvswitch(facts: Facts) -> None:
    plan = climb(
        case(
            facts,
            "bert-large-squad",
            limits=Constraints(instances=("g6e.xlarge", "g6e.48xlarge", "p4d.24xlarge")),
        )
    )
    by_type = {c.instance_type: c for c in plan.candidates if c.rung in ("bigger_gpu", "multi_gpu_node")}
    over_pcie = by_type["g6e.48xlarge"].samples_per_second.value / by_type["g6e.xlarge"].samples_per_second.value
    assert over_pcie < 6
    switched = next(text for text in by_type["p4d.24xlarge"].limits if "of linear" in text)
    assert int(switched.split("%")[0]) > 80


def test_a_gpu_that_would_starve_says_so_and_is_not_the_pick(facts: Facts) -> None:
    plan = climb(case(facts, rate=4000))
    starved = [c for c in plan.candidates if c.rung == "bigger_gpu" and c.bottleneck == "preprocessing"]
    assert starved and all(not c.meets_goal for c in starved)
    assert all("preparation: " in c.limits[0] for c in starved)
    pick = picked(plan)
    assert pick.samples_per_second.value >= 4000


def test_a_fixed_file_system_and_fixed_workers(facts: Facts) -> None:
    store = find_file_system(facts.catalog, "efs-elastic")
    plan = climb(case(facts, hours=24, limits=Constraints(file_systems=(store,), workers=3)))
    assert {c.file_system for c in plan.candidates} == {"efs-elastic"}
    assert {c.loader_workers for c in plan.candidates} == {3}


def test_stale_spot_prices_rank_nothing(facts: Facts) -> None:
    plan = climb(case(facts, hours=24, limits=Constraints(purchase="spot")))
    assert not plan.candidates
    assert any("catalog refresh" in reason for rung in plan.rungs for reason in rung.rejected)
    fresh = replace(facts, today=min(p.source.date for i in facts.catalog.instances.values() for p in i.spot.values()))
    assert climb(case(fresh, hours=24, limits=Constraints(purchase="spot"))).candidates


def test_smaller_images_are_a_rung_where_they_are_known(facts: Facts) -> None:
    asked = case(facts, rate=400, start="g4dn.xlarge")
    prep_bound = replace(asked.job, workload=replace(asked.job.workload, prep_cpu_s_per_sample=0.02))
    trimmed = replace(prep_bound, trim=Trim(0.2, 0.2, "1024x768 to 256x192"))
    assert "trim_preprocessing" not in {c.rung for c in climb(replace(asked, job=prep_bound)).candidates}
    plan = climb(replace(asked, job=trimmed))
    rung = next(c for c in plan.candidates if c.rung == "trim_preprocessing")
    assert plan.baseline is not None
    assert rung.samples_per_second.value > 2 * plan.baseline.samples_per_second.value


def test_a_preparation_cluster_helps_a_job_that_computes_its_data(facts: Facts) -> None:
    asked = case(facts, rate=1000, start="g6e.xlarge")
    heavy = replace(asked, job=replace(asked.job, workload=replace(asked.job.workload, prep_cpu_s_per_sample=0.05)))
    plan = climb(heavy)
    assert plan.baseline is not None and plan.baseline.bottleneck == "preprocessing"
    rates = [c.samples_per_second.value for c in plan.candidates if c.rung == "prep_cluster"]
    assert max(rates) > 2 * plan.baseline.samples_per_second.value


def test_a_model_too_large_for_one_gpu_is_sharded_or_refused(facts: Facts) -> None:
    plan = climb(case(facts, "mpt-7b-pretraining"))
    small = [c for c in plan.candidates if c.instance_type.startswith("g4dn") and c.accelerators == 1]
    assert not small
    assert any("GB are needed" in reason for rung in plan.rungs for reason in rung.rejected)


def test_several_regions_take_the_cheapest(facts: Facts) -> None:
    regions = ("us-east-1", "ap-northeast-1", "eu-west-1")
    plan = climb(case(facts, hours=24, limits=Constraints(regions=regions)))
    for candidate in plan.candidates:
        instance = facts.catalog.instances[candidate.instance_type]
        sold = [r for r in regions if r in instance.regions and r in instance.on_demand]
        assert candidate.region == min(sold, key=lambda r: instance.on_demand[r].usd_per_hour)


def test_a_cluster_comes_with_what_it_needs(facts: Facts) -> None:
    plan = climb(case(facts, hours=0.6))
    pick = picked(plan)
    assert pick.rung == "cluster" and pick.nodes > 1
    actions = " ".join(next_step_of(plan).actions)
    assert "placement group" in actions and "gradients" in actions


@settings(max_examples=8, deadline=None)
@given(hours=st.floats(0.3, 500), usd=st.floats(5, 3000))
def test_a_pick_meets_its_goal_and_no_lower_rung_does(facts: Facts, hours: float, usd: float) -> None:
    plan = climb(case(facts, hours=hours, usd=usd))
    meeting = [ORDER.index(c.rung) for c in plan.candidates if c.meets_goal]
    for candidate in plan.candidates:
        assert candidate.meets_goal == (candidate.hours.value <= hours and candidate.cost_usd.total <= usd)
    if plan.pick is None:
        assert not meeting
    else:
        assert ORDER.index(picked(plan).rung) == min(meeting)
