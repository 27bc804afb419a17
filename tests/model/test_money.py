"""Hours and dollars, by hand."""

from __future__ import annotations

import dataclasses
import math
import random
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlscale.catalog.types import FileSystem, Interruptions, SpotPrice
from mlscale.errors import UsageProblem
from mlscale.model.estimate import Estimate
from mlscale.model.fetch import fetch_limit
from mlscale.model.money import RunCost, interruption_rate, nearest_region, run_cost, spot_stretch
from tests.model.facts import CONSTANTS, GIB, IMAGENET, SOURCE, fsx, instance, nvme, s3, store

TODAY = date(2026, 11, 24)
PLAIN = dataclasses.replace(CONSTANTS, start_s=360)


def cost(
    file_system: FileSystem | None = None,
    samples_per_s: float = 1000,
    nodes: int = 1,
    region: str = "us-east-1",
    purchase: Any = "on-demand",
    epochs: float = 10,
    memory_bytes: float = GIB,
    today: date = TODAY,
) -> RunCost:
    box = instance(memory_bytes=memory_bytes)
    chosen = file_system or s3(usd_per_gb_read=None)
    fetch = fetch_limit(chosen, box, IMAGENET, nodes, size_bytes=None, outstanding=math.inf, constants=PLAIN)
    samples, speed = epochs * IMAGENET.samples, Estimate(samples_per_s, 0.1)
    return run_cost(samples, speed, box, nodes, region, purchase, fetch, IMAGENET, epochs, today, PLAIN)


def test_time_and_money_by_hand() -> None:
    run = cost()
    hours = 10 * 1_281_167 / 1000 / 3600 + 0.1
    assert run.hours.value == pytest.approx(hours)
    assert run.compute_usd == pytest.approx(30 * hours)
    requests = 10 * 1_281_167 / 1000 * 0.0004
    month = 0.023 * 1_281_167 * 114_660 / GIB
    assert run.storage_usd == pytest.approx(requests + month * hours / 730)
    assert run.staging_hours == 0 and run.total_usd == pytest.approx(run.compute_usd + run.storage_usd)
    assert run.compute_usd < run.compute_high_usd and run.hours.low < hours < run.hours.high


def test_nodes_are_paid_for_each() -> None:
    assert cost(nodes=4).usd_per_hour == pytest.approx(120)


def test_charges_per_byte_count_every_epoch_that_misses() -> None:
    metered = store(usd_per_gb_read=0.03, usd_per_gb_month=0.0)
    assert cost(metered).storage_usd == pytest.approx(0.03 * 146.9 * 10 + 0.5, rel=0.01)  # and 0.51 for staging's GETs
    cached = cost(metered, memory_bytes=2000 * GIB)
    assert cached.storage_usd == pytest.approx(0.03 * 146.9 + 0.5, rel=0.01)


def test_staging_takes_the_slower_of_bytes_and_requests() -> None:
    many_files = cost(nvme())
    assert many_files.staging_hours == pytest.approx(1_281_167 / 5500 / 3600)
    assert any("staging 147 GB from S3" in note for note in many_files.notes)
    slow = cost(fsx(), nodes=2)
    assert slow.staging_hours == pytest.approx(146.9e9 / (0.9 * 200e6 * 1200 / 1024) / 3600, rel=0.01)


def test_the_cold_first_epoch_takes_longer() -> None:
    warm = cost(store(max_bytes_per_s=50e6), memory_bytes=2000 * GIB)
    cold_s = 1_281_167 * 114_660 / (0.9 * 50e6)
    steady_s = 9 * 1_281_167 / 1000
    assert warm.training_hours == pytest.approx((cold_s + steady_s) / 3600, rel=0.01)


def test_a_run_of_one_epoch_is_cold_all_along() -> None:
    slow = store(max_bytes_per_s=50e6)
    cold_s = 1_281_167 * 114_660 / (0.9 * 50e6)
    assert cost(slow, epochs=1, memory_bytes=2000 * GIB).training_hours == pytest.approx(cold_s / 3600, rel=0.01)
    half = cost(slow, epochs=0.5, memory_bytes=2000 * GIB)
    assert half.training_hours == pytest.approx(cold_s / 2 / 3600, rel=0.01)


def test_spot_is_interrupted_and_checkpoints() -> None:
    run = cost(purchase="spot", nodes=16, epochs=900)
    assert run.interruptions > 0 and run.hours.value > cost(nodes=16, epochs=900).hours.value
    assert run.usd_per_hour == pytest.approx(160)
    assert any("interruptions expected" in note for note in run.notes)


def test_the_bucket_that_aws_publishes_is_used() -> None:
    calm = instance(
        spot={"us-east-1": SpotPrice(10.0, SOURCE)}, interruptions={"us-east-1": Interruptions(0.0, 0.05, SOURCE)}
    )
    busy = dataclasses.replace(calm, interruptions={"us-east-1": Interruptions(0.2, None, SOURCE)})
    counts = []
    for box in (calm, busy):
        fetch = fetch_limit(s3(), box, IMAGENET, 1, size_bytes=None, outstanding=math.inf, constants=PLAIN)
        run = run_cost(1e9, Estimate(1000.0), box, 1, "us-east-1", "spot", fetch, IMAGENET, 1, TODAY, PLAIN)
        counts.append(run.interruptions)
    assert counts[0] == pytest.approx(0.0253 * 1e6 / 3600 / 730, rel=0.02)
    assert counts[1] > 10 * counts[0]


def test_the_stretch_agrees_with_a_simulation() -> None:
    constants = dataclasses.replace(CONSTANTS, checkpoint_s=30, restart_s=600)
    per_s = 1 / (20 * 3600)
    apart, work = math.sqrt(2 * 30 / per_s), 400 * 3600.0
    chance, spent, done = random.Random(3), 0.0, 0.0
    runs = 20
    for _ in range(runs):
        done = 0.0
        while done < work:
            left = chance.expovariate(per_s)
            whole = int(left / (apart + 30))
            if done + whole * apart >= work:
                spent += (work - done) / apart * (apart + 30)
                break
            done += whole * apart
            spent += left + 600
    assert spent / runs / work == pytest.approx(spot_stretch(per_s, constants), rel=0.02)


def test_a_missing_price_names_the_nearest_region() -> None:
    with pytest.raises(UsageProblem, match="no on-demand price in us-west-2; nearest region with one: us-east-1"):
        cost(region="us-west-2")
    with pytest.raises(UsageProblem, match="no spot price in eu-west-1"):
        cost(region="eu-west-1", purchase="spot")
    assert nearest_region("eu-north-1", ("us-east-1", "eu-west-1")) == "eu-west-1"
    assert nearest_region("sa-east-1", ()) is None


def test_old_and_derived_prices_say_so() -> None:
    assert cost(purchase="spot", today=date(2026, 12, 24)).stale
    assert not cost(today=date(2026, 11, 10)).stale
    old = cost(today=date(2027, 2, 1))
    assert old.stale and any("92 days old" in note for note in old.notes)
    assert any("derived" in note for note in cost(region="eu-west-1").notes)


@given(st.floats(0.001, 0.95), st.floats(0.001, 0.95))
def test_more_interruptions_take_longer(one: float, other: float) -> None:
    few, many = sorted((one, other))
    assert 1 <= spot_stretch(interruption_rate(few), CONSTANTS) <= spot_stretch(interruption_rate(many), CONSTANTS)


@given(st.floats(1, 1e6), st.floats(1, 10), st.integers(1, 32))
def test_faster_is_never_dearer_in_time(speed: float, more: float, nodes: int) -> None:
    slow, fast = cost(samples_per_s=speed, nodes=nodes), cost(samples_per_s=speed * more, nodes=nodes)
    assert fast.hours.value <= slow.hours.value and fast.total_usd <= slow.total_usd
