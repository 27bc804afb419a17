"""Reports built by hand, for what renderers must be able to show. Figures are plausible, not measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from mlscale.ladder.result import Diagnosis, NextStep, RungResult, Verdict
from mlscale.measure import Measurement, Missing
from mlscale.model.speedup import SpeedUp
from mlscale.profile.job import (
    Cpu,
    FunctionShare,
    Gpu,
    Host,
    Job,
    JobProfile,
    Loader,
    Oversized,
    Rank,
    Store,
    TrainingThread,
    Window,
    Workers,
)
from mlscale.report.build import build_report
from mlscale.report.report import Report

ENDED_AT = datetime(2025, 11, 23, 19, 30, 5, tzinfo=timezone.utc)
PROMISE = SpeedUp(1.83, 1.71, 1.95)
NO_GPU = "no NVIDIA driver library (libnvidia-ml.so.1) on this machine"


def profile() -> JobProfile:
    """Too few workers, on a machine without a GPU."""
    return JobProfile(
        host=Host("ip-10-0-3-17", 8, 64 * 2**30, gpu_missing_reason=NO_GPU, accelerator_simulated=True),
        job=Job(
            4711,
            "python examples/train_images.py --workers 2 --step-ms 20",
            "PyTorch",
            Loader("pytorch", "torch.utils.data.DataLoader", "process", 2, 32, 2, "fork", False),
        ),
        window=Window(34.2, 30.1, 20.0, ((0.0, 3.1, "start-up"), (3.1, 4.1, "first batches")), "stable"),
        cpu=Cpu(8, "machine", 8, None, 2.21, 0.31, 0.24, 1.96, None),
        training=TrainingThread(
            data=0.47,
            step=0.49,
            host=0.03,
            save=0.0,
            communication=0.01,
            cpu=0.06,
            data_cpu=0.0,
            data_io_wait=0.0,
            functions=(
                FunctionShare("_MultiProcessingDataLoaderIter._get_data", "/v/torch/dataloader.py", 1275, "data", 0.47),
            ),
            samples=1204,
        ),
        workers=Workers(
            compute=0.93,
            run_queue=0.01,
            gil_wait=0.0,
            io_wait=0.02,
            hand_over=0.03,
            idle=0.0,
            other=0.01,
            functions=(FunctionShare("ImageFile.load", "/v/PIL/ImageFile.py", 266, "compute", 0.61),),
            samples=1180,
        ),
        stores=(
            Store(
                "block",
                "ext4",
                "/data",
                "nvme1n1",
                "/data/000/17.jpg",
                1.0,
                21.4e6,
                188.0,
                0.04,
                0.0009,
                why="It answers fast.",
            ),
        ),
        demand=None,
        oversized=Oversized((1920, 1080), (256, 256), 0.61, 0.17),
        measurements={
            "throughput": Measurement(431.2, "samples/s", 425.0, 437.4, "batch numbers in the loader's memory"),
            "step_rate": Measurement(13.48, "1/s", 13.28, 13.67, "batch numbers in the loader's memory"),
            "data_wait_fraction": Measurement(0.47, "fraction", 0.45, 0.49, "1204 looks at the training thread"),
            "worker_busy_fraction": Measurement(0.95, "fraction", 0.93, 0.97, "1180 looks at the workers"),
            "cpu_used_cores": Measurement(2.21, "cores", 2.18, 2.24, "/proc/PID/stat"),
            "cpu_limit_cores": Measurement(8, "cores", 8, 8, "machine"),
            "prep_cpu_seconds_per_sample": Measurement(0.00455, "s", 0.0044, 0.0047, "worker CPU time over samples"),
            "gpu_busy_fraction": Missing(NO_GPU),
            "gpu_power_fraction": Missing(NO_GPU),
            "page_cache_hit_fraction": Missing("the kernel keeps no count of hits"),
        },
        warnings=("Another job was passed over: 5120: python eval.py.",),
    )


def diagnosis() -> Diagnosis:
    """Too few workers."""
    action = "Start more workers: DataLoader(num_workers=4)"
    return Diagnosis(
        Verdict(
            "loader_workers",
            "The training loop waits for data 47% of the time: 2 loader workers are too few, and 5 cores are free.",
            0.93,
            (
                "Each worker computes 93% of the time and never waits for room in its queue.",
                "The job uses 2.2 of the 8 cores that it may use; others use 0.3.",
            ),
        ),
        (
            RungResult("cpu_to_gpu", "unknown", "No GPU is visible here. The step sleeps, as a simulated one does."),
            RungResult(
                "loader_workers",
                "climb",
                "Workers compute all the time, and cores are free for more. With 4 workers the step is the limit.",
                ("data_wait_fraction", "worker_busy_fraction", "cpu_used_cores"),
                PROMISE,
                (action, "Keep them between epochs: DataLoader(persistent_workers=True)"),
                "Distributed Computation Frameworks",
            ),
            RungResult(
                "data_store",
                "clear",
                "Workers wait for the store 2% of the time. A faster one would bring at most that.",
                ("worker_io_wait_fraction", "storage_read_bytes_per_s"),
                SpeedUp(1.01, 1.0, 1.02),
            ),
            RungResult(
                "trim_preprocessing",
                "later",
                "More workers come first.",
                ("prep_cpu_seconds_per_sample",),
                SpeedUp(1.6, 1.4, 1.9),
            ),
            RungResult("prep_cluster", "later", "More workers come first."),
            RungResult(
                "bigger_gpu",
                "blocked",
                "A faster GPU would wait longer. The loop waits for data 47% of the time, so that at most 1.00× comes of it.",
                ("data_wait_fraction",),
                SpeedUp(1.0, 1.0, 1.02),
                ("A GPU with more memory bandwidth",),
            ),
            RungResult("multi_gpu_node", "blocked", "A vertical limit stands."),
            RungResult("cluster", "blocked", "A vertical limit stands."),
        ),
        NextStep("loader_workers", (action, "Keep them between epochs: DataLoader(persistent_workers=True)"), PROMISE),
    )


def workers_report() -> Report:
    return build_report(profile(), diagnosis(), ENDED_AT)


def gpu_report() -> Report:
    """Two ranks on two saturated GPUs, one of which lags."""
    gpus = tuple(
        Gpu(
            i,
            "NVIDIA H100 80GB HBM3",
            80 * 2**30,
            False,
            0.98,
            0.81,
            0.44,
            0.37,
            0.93,
            0.97,
            ("software power cap",),
            "GPM",
        )
        for i in range(2)
    )
    seen = replace(
        profile(),
        host=Host("p5", 192, 2**41, gpus, "p5.48xlarge", "kubernetes"),
        job=replace(
            profile().job,
            command="torchrun --nproc-per-node 2 train.py",
            ranks=(Rank(0, 100, 0.01, 0.71, 0.02, 0.26), Rank(1, 101, 0.02, 0.93, 0.03, 0.02)),
        ),
        training=replace(
            profile().training, data=0.01, step=0.82, host=0.03, save=0.0, communication=0.14, functions=()
        ),
        workers=replace(profile().workers, compute=0.21, io_wait=0.02, idle=0.74, run_queue=0.0, functions=()),
        oversized=None,
        warnings=(),
    )
    verdict = Verdict("gpu", "The GPUs are busy 98% of the time: they are the limit, as they should be.", 0.88)
    rungs = tuple(
        replace(
            rung,
            status="clear" if i < 5 else "later",
            because="Not the limit." if i < 5 else "No goal asks for more.",
            expected_speedup=None,
            actions=(),
        )
        for i, rung in enumerate(diagnosis().ladder)
    )
    return build_report(seen, Diagnosis(verdict, rungs, NextStep(None)), ENDED_AT)


def inconclusive_report() -> Report:
    """Nothing steady was seen."""
    seen = replace(
        profile(),
        training=None,
        workers=None,
        stores=(),
        cpu=None,
        oversized=None,
        measurements={},
        warnings=(),
        job=Job(99, "python train.py", None, None),
        window=Window(12.0, 0.0, 20.0, ((0.0, 12.0, "start-up"),), "interrupted"),
        not_steady_reason="The job was still starting.",
    )
    verdict = Verdict("inconclusive", "No steady training was seen: the job was still starting after 12 s.", 0.0)
    rungs = tuple(
        replace(
            rung,
            status="unknown",
            because="No steady training was seen.",
            expected_speedup=None,
            actions=(),
            evidence=(),
        )
        for rung in diagnosis().ladder
    )
    step = NextStep(None, ("Watch again when the first epoch runs: mlscale diagnose --pid 99 --duration 1m",))
    return build_report(seen, Diagnosis(verdict, rungs, step), ENDED_AT)


ALL = {"workers": workers_report, "gpu": gpu_report, "inconclusive": inconclusive_report}
