"""What a probe's figures say, from figures that are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from mlscale.probe.result import CodeFound, LoaderTrial, Part, StepTrial, StoreFound, StoreTrial
from mlscale.probe.said import event_of, found_in
from mlscale.report.build_probe_code import probe_of_loader, probe_of_step
from mlscale.report.build_probe_store import probe_of_store
from mlscale.report.probe_figures import t90
from mlscale.report.report import Cpus, Host

HOST = Host("box", Cpus(8, None), 32 << 30)
NOW = datetime(2026, 11, 26, 18, tzinfo=timezone.utc)


def parts(rate: float, size: float | None = None, cpu: float = 0.0, spread: float = 0.0) -> tuple[Part, ...]:
    """Six seconds, one after the other, of `rate` things of `size` each."""
    rates = [rate * (1 + spread * way) for way in (1, -1, 1, -1, 1, -1)]
    return tuple(Part(1.0, round(r), size and size * round(r), cpu) for r in rates)


def store(**rates: float) -> StoreFound:
    """A store of files of 1 MB: rates in reads/s by readers, r1=100."""
    trials = tuple(
        StoreTrial(int(name[1:]), parts(rate, 1e6), (0.01,) * 50, device_bytes=round(6e6 * rate))
        for name, rate in rates.items()
    )
    return StoreFound("/data", 10, 10_000_000, 1_000_000, True, "block", "ext4", "nvme1n1", trials)


def of_store(found: StoreFound, cores: float = 8.0):  # type: ignore[no-untyped-def]
    return probe_of_store(found, HOST, cores, NOW)


def test_the_fewest_readers_that_give_nearly_the_most() -> None:
    probe = of_store(store(r1=100, r2=190, r4=200, r8=203))
    assert probe.measurements["store_readers"].value == 4 and probe.limited
    assert probe.measurements["store_bytes_per_s"].value == pytest.approx(200e6)
    assert [trial.chosen for trial in probe.trials] == [False, False, True, False]
    assert "and no more to more of them; one alone gets 100 MB/s." in probe.headline


def test_a_store_that_still_gives_more_has_no_known_limit() -> None:
    probe = of_store(store(r1=100, r2=200, r4=400))
    assert not probe.limited and "more to more of them" in probe.headline


def test_full_cores_are_not_the_stores_limit() -> None:
    found = store(r1=100, r2=150)
    busy = tuple(replace(t, parts=tuple(replace(p, cpu_s=1.95) for p in t.parts)) for t in found.trials)
    probe = of_store(replace(found, trials=busy), cores=2.0)
    assert not probe.limited and any("filled the 2 cores" in warning for warning in probe.warnings)


def test_what_came_from_memory_is_said() -> None:
    found = store(r1=100)
    half = tuple(replace(trial, device_bytes=300_000_000) for trial in found.trials)
    assert any("Only 50% of the bytes" in w for w in of_store(replace(found, trials=half)).warnings)
    assert of_store(found).warnings == ()
    assert of_store(replace(found, kind="nfs")).warnings == (
        "Whether the server had the files in its own memory cannot be seen from here.",
    )


def test_intervals_follow_the_spread() -> None:
    found = CodeFound("train:loader", (LoaderTrial(2, True, 0.5, parts(10, 64, 0.5, spread=0.1)),), batch_size=64)
    rate = probe_of_loader(found, HOST, 8.0, NOW).measurements["throughput"]
    # Student's t for five degrees of freedom, 2.015, times 70 / sqrt(6) samples/s
    assert rate.value == pytest.approx(640) and rate.high - rate.value == pytest.approx(2.015 * 70.1 / 6**0.5, rel=0.02)


@pytest.mark.parametrize(
    ("count", "published"), [(2, 6.314), (4, 2.353), (5, 2.132), (6, 2.015), (11, 1.812), (121, 1.658)]
)
def test_students_t_is_that_of_the_tables(count: int, published: float) -> None:
    assert t90(count) == pytest.approx(published, rel=0.01)


def test_one_part_has_no_spread_and_says_so() -> None:
    step = StepTrial(3, (Part(2.0, 1, None, 1.0),), True)
    probe = probe_of_step(CodeFound("train:step", step=step), HOST, NOW)
    assert "measured once" in probe.measurements["step_s"].source
    assert probe.headline == "The step alone takes 2 s: 0.5 steps/s."


def test_used_up_cores_are_named() -> None:
    found = CodeFound("t:l", (LoaderTrial(8, True, 1.0, parts(10, 64, 7.9)),), batch_size=64)
    assert any("used up" in text for text in probe_of_loader(found, HOST, 8.0, NOW).because)


def test_a_line_that_was_cut_off_is_passed_over() -> None:
    assert event_of(b'{"event": "pa') == {} and event_of(b"7") == {}
    events = [
        {"event": "trial", "workers": None, "as_it_is": True, "batch_size": None},
        {"event": "first", "s": 0.1},
        {"event": "part", "s": 1.0, "count": 5, "amount": 20, "cpu_s": 0.5},
        {"event": "epoch", "batches": 5},
        {"event": "error", "says": "its process ended with signal SIGKILL"},
    ]
    found = found_in("loader", "t:l", events, "failed")
    assert found.batch_size == 4 and found.loader[0].epoch == 5 and found.ended == "failed"
    assert found.notes == ("It failed before the time was up: its process ended with signal SIGKILL.",)
