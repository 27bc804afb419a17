"""What a recording's profile becomes in the model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mlscale.model.pipeline import (
    COLD_STOPPED,
    RESTS,
    all_busy,
    inflation,
    taking_over_s,
    throughput,
    warmed,
    with_workers,
)
from mlscale.model.whatif import (
    CONTENTION,
    FEW_LOOKS,
    LEAST_TAKE_OVER_S,
    TAKE_OVER_SHARE,
    USUAL_ANSWER_S,
    Known,
    pipeline_of,
    speedup,
    waits_at_turns,
)
from mlscale.profile.build import build_profile
from mlscale.profile.job import JobProfile
from mlscale.recording import read

FOLDER = Path(__file__).parent.parent / "recordings"


def profile_of(name: str) -> JobProfile:
    return build_profile(read(FOLDER / f"{name}.mlscale"))


def modelled(profile: JobProfile, **thread: float | None) -> Known:
    """The pipeline of a profile, with some shares of its training thread changed."""
    assert profile.training is not None
    known = pipeline_of(dataclasses.replace(profile, training=dataclasses.replace(profile.training, **thread)))
    assert known is not None
    return known


def gain_of_two(known: Known) -> float:
    """Of two workers over those of now."""
    return throughput(with_workers(known.pipeline, 2)) / throughput(known.pipeline)


def test_where_a_quota_stops_a_thread_tells_nothing_of_taking_over() -> None:
    """Half the looks see it stopped by the quota, wherever that is: they say neither what it computes, nor who is busy."""
    profile = profile_of("a_cpu_quota")
    assert profile.cpu is not None and profile.cpu.throttled
    as_seen = modelled(profile).pipeline
    assert modelled(profile, receive=0.0).pipeline.contention_s == as_seen.contention_s
    assert profile.training is not None and profile.demand is not None
    usual = max(TAKE_OVER_SHARE * as_seen.prepare_cpu_s, LEAST_TAKE_OVER_S)
    computes = profile.training.cpu / profile.demand.batches_per_s
    assert as_seen.contention_s == pytest.approx(CONTENTION * min(usual, computes), rel=0.1)


def test_taking_over_is_never_more_than_all_that_the_thread_computes() -> None:
    profile = profile_of("a_cpu_quota")
    assert profile.demand is not None
    little = modelled(profile, cpu=0.001).pipeline
    assert little.contention_s == pytest.approx(CONTENTION * 0.001 / profile.demand.batches_per_s)


def test_without_a_quota_looks_tell_it() -> None:
    profile = profile_of("too_many_workers")
    assert profile.cpu is not None and not profile.cpu.throttled
    assert profile.training is not None
    less = profile.training.receive * 0.6
    assert less * profile.training.samples >= FEW_LOOKS
    assert modelled(profile, receive=less).pipeline.contention_s < modelled(profile).pipeline.contention_s


def test_a_loop_that_threads_feed_waits_for_a_core_whenever_it_wakes() -> None:
    """It takes its batches over for nothing; yet the second thread brought 1.65 times, where the GPU would allow 1.82."""
    profile = profile_of("a_pool_of_threads")
    known = modelled(profile)
    assert 1.55 < gain_of_two(known) < 1.75
    assert waits_at_turns(210) == pytest.approx(0.5 * 210 * 0.5e-3, rel=0.1)
    # A step of twenty short waits: benchmarks/wakes.py saw it wait for next to nothing.
    assert waits_at_turns(2000) == 0
    unknown = modelled(profile, turns_per_s=None)
    assert unknown.pipeline.turns_s == 0
    assert unknown.pipeline.contention_s < 0.2 * known.pipeline.turns_s
    assert gain_of_two(unknown) > 1.75


def test_threads_that_never_rest_let_a_loop_that_wakes_in_at_once() -> None:
    """Two threads that a shorter step leaves no rest: 1.96 and 2.00 times the speed of one were seen on two cores."""
    pipeline = modelled(profile_of("a_pool_of_threads")).pipeline
    for share, waits in ((0.5, 1.0), (1 - RESTS / 2, 0.5), (1.0, 0.0)):
        two = dataclasses.replace(with_workers(pipeline, 2), step_s=0.45)
        rate = share * two.limits["cores"] / inflation(two, two.cores + two.other_cores)
        assert taking_over_s(two, rate) == pytest.approx(waits * two.turns_s * all_busy(two, rate), rel=0.1, abs=1e-6)
    short = dataclasses.replace(pipeline, step_s=0.45)
    without = dataclasses.replace(short, turns_s=0.0)
    assert throughput(with_workers(short, 2)) > 0.97 * throughput(with_workers(without, 2))


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_one_or_two_looks_at_a_worker_that_answers_late_may_be_chance(looks: int) -> None:
    """Two looks of 370 at 2 batches/s from a throttled memory map: taken at their word, workers that always compute would answer
    10 ms late, and 13.6 times the speed was promised where 15.1 came."""
    profile = profile_of("a_throttled_disk_0")
    assert profile.training is not None
    some = modelled(profile, receive_wait=looks / profile.training.samples)
    assert some.pipeline.answer_s == pytest.approx((1 + looks) * USUAL_ANSWER_S, rel=0.05)
    assert some.answer_error > 1.645 / (1 + looks) ** 0.5


def test_many_looks_at_a_worker_that_answers_late_are_taken_at_their_word() -> None:
    """The preparation of *too few workers* is nothing but Python: whoever asks for its interpreter waits 18 ms."""
    known = modelled(profile_of("too_few_workers"))
    assert 0.016 < known.pipeline.answer_s < 0.020
    assert known.answer_error < 0.3


@pytest.mark.parametrize("name", ["a_throttled_disk_2", "a_throttled_disk_through"])
def test_batches_too_rare_for_looks_are_taken_over_all_the_same(name: str) -> None:
    """Two batches a second: no look sees one taken over, but the loop will do little else once the disk keeps up."""
    profile = profile_of(name)
    thread, demand = profile.training, profile.demand
    assert thread is not None and demand is not None and thread.receive * thread.samples < FEW_LOOKS
    pipeline = modelled(profile, receive=0.0).pipeline
    usual = max(TAKE_OVER_SHARE * pipeline.prepare_cpu_s, LEAST_TAKE_OVER_S)
    blocked = (1 - thread.data + thread.queue_data) / demand.batches_per_s
    assert pipeline.step_s - blocked == pytest.approx(min(usual, thread.cpu / demand.batches_per_s), rel=0.15)
    assert modelled(profile, receive=0.0, cpu=0.0).pipeline.step_s == pytest.approx(blocked)


def test_where_the_gpu_counts_its_busy_time_the_step_errs_by_the_ends_of_the_window() -> None:
    """A share of a tenth, in looks, is unsure by an eighth; a window of thirty batches, of two workers, by a twentieth."""
    profile = profile_of("a_throttled_disk_2")
    counted, unseen = (
        modelled(profile),
        modelled(dataclasses.replace(profile, host=dataclasses.replace(profile.host, gpus=()))),
    )
    assert counted.step_error < 0.6 * unseen.step_error
    short = dataclasses.replace(
        profile, window=dataclasses.replace(profile.window, steady_s=profile.window.steady_s / 2)
    )
    assert counted.step_error < modelled(short).step_error < unseen.step_error


@pytest.mark.parametrize(
    "name", ["a_remote_store_whose_line_is_full", "a_throttled_disk_2", "a_full_line_and_little_else"]
)
def test_waits_for_a_store_at_its_ceiling_are_not_counted_twice(name: str) -> None:
    """They hold the queue that the ceiling makes. With all of them and the ceiling, a full line gave 5 % less than was seen."""
    known = pipeline_of(profile_of(name))
    assert known is not None and known.pipeline.store_batches_per_s == known.rate
    assert throughput(known.pipeline) == pytest.approx(known.rate, rel=0.01)
    # More callers get no more from it.
    assert throughput(with_workers(known.pipeline, 16)) <= known.rate


def test_where_no_core_is_free_who_hands_a_batch_out_waits_for_one_too() -> None:
    """Shards on full cores: 0.04 of the time at 31 batches/s it was blocked in taking over; with images of half the size, and
    cores still full, 0.08 at 63 batches/s. Without that wait 2.1 times were promised where 1.8 to 2.0 came."""
    name = "cores_used_up_by_decoding"
    free, blocked = modelled(profile_of(name), receive_wait=0.0), modelled(profile_of(name), receive_wait=0.04)
    more_s = blocked.pipeline.contention_s - free.pipeline.contention_s
    assert more_s == pytest.approx(0.04 / blocked.rate, rel=0.1)
    assert blocked.pipeline.answer_s == free.pipeline.answer_s == 0


def test_who_serves_the_data_here_needs_the_more_cores_the_more_is_read() -> None:
    """Dozens of workers at a FUSE mount brought 8 to 10 times, and its daemon took a core."""
    profile = profile_of("a_fuse_mount_whose_daemon_computes")
    cpu, known = profile.cpu, pipeline_of(profile)
    assert cpu is not None and known is not None and cpu.serving_cores > cpu.worker_cores
    assert cpu.other_cores < 0.1  # it is no company
    alone = pipeline_of(dataclasses.replace(profile, cpu=dataclasses.replace(cpu, serving_cores=0.0)))
    assert alone is not None
    more, free = (throughput(with_workers(k.pipeline, 64)) / k.rate for k in (known, alone))
    assert more < 0.94 * free
    quota = dataclasses.replace(cpu, limit_source="quota")
    assert modelled(dataclasses.replace(profile, cpu=quota)).pipeline.serving_cpu_s == 0  # it has cores of its own


def test_the_cold_cores_of_readers_that_wait_get_warm_and_those_of_others_are() -> None:
    known = pipeline_of(profile_of("a_fuse_mount_whose_daemon_computes"))
    assert known is not None and 0.15 < known.pipeline.cold < 0.25
    now = warmed(known.pipeline, known.rate)
    assert now.prepare_cpu_s == pytest.approx(known.pipeline.prepare_cpu_s, rel=0.01)
    assert warmed(known.pipeline, 1e3).prepare_cpu_s == pytest.approx(
        known.pipeline.prepare_cpu_s * (1 - known.pipeline.cold), rel=0.01
    )
    for name in ("too_few_workers", "no_workers", "a_saturated_gpu"):
        assert modelled(profile_of(name)).pipeline.cold == 0


def test_workers_that_a_quota_stops_rest_and_take_less_once_nothing_stops_them() -> None:
    known = pipeline_of(profile_of("a_cpu_quota"))
    assert known is not None and 0 < known.pipeline.cold < COLD_STOPPED
    now = known.pipeline
    assert warmed(now, known.rate).prepare_cpu_s == pytest.approx(now.prepare_cpu_s, rel=0.01)
    lifted = dataclasses.replace(now, cores=2.0, limit_cores=2.0)
    assert warmed(lifted, 1e3).prepare_cpu_s == pytest.approx(now.prepare_cpu_s * (1 - now.cold), rel=0.01)
    # Of the machine's cores, not the quota's: as long as that stops the job, whatever else changes, they rest.
    four, never_colder = with_workers(now, 4), with_workers(dataclasses.replace(now, cold=0.0), 4)
    assert throughput(four) == pytest.approx(throughput(never_colder), rel=0.005)


def test_a_disk_that_gives_in_bursts_is_burstier_than_exponential_times() -> None:
    """Three workers at a throttled disk: they idle while the loop waits, for its next batch is with the one that the throttle
    stopped. Nine of them made 1.83 times as many batches, hardly fewer than from memory (1.96)."""
    known = pipeline_of(profile_of("a_disk_that_gives_in_bursts"))
    assert known is not None and known.pipeline.variability > 3
    assert throughput(known.pipeline) > 1.1 * known.rate  # it does not explain all
    gain = speedup(known, lambda p: with_workers(p, 9))
    assert gain.low < 1.83 < gain.high
    sure = speedup(dataclasses.replace(known, misfit=0.0), lambda p: with_workers(p, 9))
    assert sure.value == gain.value and not sure.low < 1.83 < sure.high


def test_a_model_that_fits_is_not_widened() -> None:
    known = pipeline_of(profile_of("too_few_workers"))
    assert known is not None and known.misfit == 0
    assert throughput(known.pipeline) == pytest.approx(known.rate, rel=0.03)


def test_one_worker_that_the_loop_waits_for_has_its_orders() -> None:
    """What looks idle then is reading the next order: no second thread's time, and the model gives the rate that was seen."""
    profile = profile_of("too_few_workers")
    workers, cpu = profile.workers, profile.cpu
    assert workers is not None and cpu is not None and workers.idle < 0.02
    now = pipeline_of(profile)
    less = dataclasses.replace(workers, compute=workers.compute - 0.05, idle=workers.idle + 0.05)
    reading = pipeline_of(dataclasses.replace(profile, workers=less))
    assert now is not None and reading is not None
    assert reading.pipeline.worker_threads == pytest.approx(now.pipeline.worker_threads, rel=0.01)
    assert throughput(reading.pipeline) == pytest.approx(now.rate, rel=0.03)
    # One order at a time leaves it without any while its batch is taken over; and in a loop that hardly waits, the queue is full.
    loader, training = profile.job.loader, profile.training
    assert loader is not None and training is not None
    one_order = dataclasses.replace(profile.job, loader=dataclasses.replace(loader, prefetch_factor=1))
    for other in (
        dataclasses.replace(profile, workers=less, job=one_order),
        dataclasses.replace(profile, workers=less, training=dataclasses.replace(training, data=0.1)),
    ):
        idle = pipeline_of(other)
        assert idle is not None and idle.pipeline.worker_threads > 1.03 * now.pipeline.worker_threads
