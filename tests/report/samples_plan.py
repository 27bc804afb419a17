"""Recommendations and comparisons built by hand, for what renderers must be able to show. Figures are plausible, not measured."""

from __future__ import annotations

from dataclasses import replace

import samples

from mlscale.ladder.result import NextStep, Verdict
from mlscale.measure import Measurement
from mlscale.model.speedup import SpeedUp
from mlscale.report.diff import Diff, diff_of
from mlscale.report.probe import Probe, Trial
from mlscale.report.recommendation import Candidate, Cost, Goal, Interval, Recommendation
from mlscale.report.report import Report, Tool

# instance type, dollars an hour, samples a second of one, accelerators of one, accelerator, rung
_TYPES = (
    ("g5.xlarge", 1.0, 300.0, 1, "A10G", "loader_workers"),
    ("g5.4xlarge", 1.6, 480.0, 1, "A10G", "trim_preprocessing"),
    ("g6.4xlarge", 1.3, 560.0, 1, "L4", "bigger_gpu"),
    ("p4d.24xlarge", 22.0, 5200.0, 8, "A100", "multi_gpu_node"),
    ("p5.48xlarge", 55.0, 9800.0, 8, "H100", "multi_gpu_node"),
)
_SAMPLES = 90 * 1_281_167.0


def candidate(kind: tuple[str, float, float, int, str, str], nodes: int, file_system: str) -> Candidate:
    name, usd_per_hour, rate, accelerators, accelerator, rung = kind
    rate *= nodes * 0.94 ** (nodes > 1) * (0.8 if file_system == "gp3" else 1.0)
    hours = _SAMPLES / rate / 3600
    compute, storage = hours * usd_per_hour * nodes, 0.12 * hours
    return Candidate(
        rung=rung if nodes == 1 else "cluster",
        instance_type=name,
        nodes=nodes,
        file_system=file_system,
        loader_workers=8 * accelerators,
        samples_per_second=Interval(rate, 0.85 * rate, 1.15 * rate),
        bottleneck="storage" if file_system == "gp3" else "gpu",
        hours=Interval(hours, hours / 1.15, hours / 0.85),
        cost_usd=Cost(compute, storage, compute + storage),
        meets_goal=hours / 0.85 <= 24,
        why="The store gives no more." if file_system == "gp3" else "Its accelerators are the limit.",
        accelerator=accelerator,
        accelerators=float(accelerators * nodes),
        region="us-east-1",
        purchase="on-demand",
        limits=("storage",) if file_system == "gp3" else ("gpu", "preprocessing"),
        gpu_busy_fraction=0.8 if file_system == "gp3" else 0.97,
    )


def plan() -> Recommendation:
    """A deadline of a day for ninety epochs of ImageNet."""
    found = tuple(
        candidate(kind, nodes, store) for kind in _TYPES for nodes in (1, 2, 4) for store in ("gp3", "FSx for Lustre")
    )
    meeting = [i for i, c in enumerate(found) if c.meets_goal]
    cheapest = min(meeting, key=lambda i: found[i].cost_usd.total)
    fastest = min(range(len(found)), key=lambda i: found[i].hours.value)
    report = samples.workers_report()
    one_node = [i for i in meeting if found[i].nodes == 1]
    pick = min(one_node, key=lambda i: found[i].cost_usd.total)
    gain = SpeedUp(12.1, 9.9, 14.2)
    return Recommendation(
        tool=Tool("mlscale", "0.1.0"),
        created_at="2025-11-23T19:30:05Z",
        host=report.host,
        job=report.job,
        window=report.window,
        measurements=report.measurements,
        verdict=Verdict(
            "gpu",
            "One p4d.24xlarge trains ninety epochs within the day; two cheaper steps come first and are not enough.",
            0.81,
            ("With four workers and smaller images one A10G gives 480 samples/s: 67 hours.",),
        ),
        ladder=tuple(
            replace(rung, status="climb", expected_speedup=gain, because="The lowest rung that meets the deadline.")
            if rung.rung == "multi_gpu_node"
            else replace(rung, status="clear", because="Taken already.")
            for rung in report.ladder
        ),
        next_step=NextStep(
            "multi_gpu_node",
            ("Run it on one p4d.24xlarge: torchrun --nproc-per-node 8 train.py", "Put the data on FSx for Lustre"),
            gain,
        ),
        goal=Goal(24.0, 1200.0, None, "us-east-1", _SAMPLES, 90.0),
        baseline=replace(candidate(_TYPES[0], 1, "gp3"), why="What runs now."),
        candidates=found,
        pick=pick,
        cheapest=cheapest,
        fastest=fastest,
        warnings=("Prices are of 2025-11-20.",),
        workload="",
    )


def no_plan() -> Recommendation:
    """Nothing meets the goal."""
    nothing = tuple(replace(c, meets_goal=False) for c in plan().candidates)
    verdict = Verdict("inconclusive", "Nothing that was weighed meets a deadline of one hour.", 0.7)
    return replace(
        plan(),
        verdict=verdict,
        candidates=nothing,
        pick=None,
        cheapest=None,
        next_step=NextStep(None),
        goal=replace(plan().goal, deadline_hours=1.0, budget_usd=None),
        host=None,
        job=None,
        window=None,
        measurements={},
        workload="resnet50-imagenet",
        baseline=None,
    )


def after() -> Report:
    """The job once it has four workers."""
    before = samples.workers_report()
    assert before.job.loader is not None
    found = Measurement(771.0, "samples/s", 752.0, 790.0, "batch numbers in the loader's memory")
    return replace(
        before,
        created_at="2025-11-23T20:02:11Z",
        job=replace(
            before.job,
            command="python examples/train_images.py --workers 4 --step-ms 20",
            loader=replace(before.job.loader, workers=4),
        ),
        measurements={
            **before.measurements,
            "throughput": found,
            "data_wait_fraction": Measurement(0.02, "fraction", 0.01, 0.03, "looks"),
        },
        verdict=Verdict("gpu", "The accelerator is the limit, as it should be: at work 97% of the time.", 0.9),
        next_step=NextStep(None, ("Nothing to cure.",)),
    )


def comparison() -> Diff:
    """The promise of samples.workers_report, and what came of it."""
    return diff_of(samples.workers_report(), after())


def unmeasured_comparison() -> Diff:
    """Two reports without a rate."""
    return diff_of(samples.inconclusive_report(), samples.inconclusive_report())


def probe() -> Probe:
    """A store that was read by more and more readers."""

    def trial(readers: int, rate: float, took: float) -> Trial:
        figures = {
            "store_bytes_per_s": Measurement(rate, "bytes/s", 0.95 * rate, 1.05 * rate, "whole files in random order"),
            "store_read_s": Measurement(took, "s", 0.9 * took, 1.1 * took, "whole files in random order"),
        }
        return Trial(f"{readers} readers", figures, chosen=readers == 4)

    trials = (trial(2, 110e6, 0.0021), trial(4, 190e6, 0.0024), trial(8, 191e6, 0.0049))
    return Probe(
        tool=Tool("mlscale", "0.1.0"),
        created_at="2026-11-26T18:00:00Z",
        of="storage",
        target="/data/train",
        host=samples.workers_report().host,
        headline="The store gives 190 MB/s (1,650 reads/s) to 4 readers, and no more to more of them.",
        because=("1,281 files, 148 MB in all, on ext4 on nvme1n1.",),
        measurements=trials[1].measurements,
        trials=trials,
        warnings=("Whether the server had the files in its own memory cannot be seen from here.",),
    )


def failed_probe() -> Probe:
    """A loader that gave too few batches."""
    return replace(
        probe(),
        of="loader",
        target="train:loader",
        headline="No rate was measured.",
        measurements={},
        trials=(),
        because=(),
    )
