"""Real training on a real GPU: diagnoses each job, takes the named step, measures again, and prints promise.py's tables.

    python benchmarks/real_gpu.py [NAME ...] [--keep results.jsonl] [--data FOLDER]       a minute and a half each

Needs an NVIDIA GPU, torchvision, and the extra `bench`. `--tables results.jsonl` prints what is there; `--again` diagnoses
the recordings anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from benchmarks.promise import Result, diagnosed_anew, keep, read, run, tables
from benchmarks.settings import Setting, module
from tests.faults import inject

STARTS = 1


def settings(data: Path, cores: int) -> list[Setting]:
    """The set. Of a machine with some 16 cores: with fewer, preparation is the limit of ResNet-50 also where it is healthy."""

    def trained(model: str, workers: object, *more: object) -> list[str]:
        return module("trained", "--model", model, "--workers", workers, "--data", data, *more)

    def images(workers: object, *more: object) -> list[str]:
        return trained("resnet50", workers, *more)

    def gpt(*more: object) -> list[str]:
        return trained("gpt", 2, "--batch-size", 16, *more)

    most, small = cores - 2, ("--image-size", 256)
    large = ("--batch-size", 256, *small)
    store = data / "400px"
    return [
        Setting(
            "GPT, tiny batches",
            "host",
            lambda _: trained("gpt", 2, "--batch-size", 1, "--length", 64),
            lambda _, w: trained("gpt", 2, "--batch-size", 1, "--length", 64, "--graphs", 1),
        ),
        Setting(
            "ResNet-50, small batches",
            "host",
            lambda _: images(most, "--batch-size", 32, *small),
            lambda _, w: images(most, "--batch-size", 32, *small, "--graphs", 1),
        ),
        Setting("ResNet-50", "gpu", lambda _: images(most, *large)),
        Setting("GPT", "gpu", lambda _: gpt()),
        Setting(
            "ResNet-50, host work",
            "host",
            lambda _: images(most, "--host-ms", 80, *large),
            lambda _, w: images(most, *large),
        ),
        Setting(
            "ResNet-50, saves",
            "checkpoint",
            lambda _: images(most, "--save-every", 20, *large),
            lambda _, w: images(most, *large),
        ),
        Setting(
            "ResNet-50, large images",
            "preprocessing",
            lambda _: images(cores, "--image-size", 1600),
            lambda _, w: images(cores, "--image-size", 400),
        ),
        Setting(
            "ResNet-50, store's line full",
            "storage",
            lambda port: images(4, "--port", port),
            lambda _, w: images(4),
            lambda: inject.object_store(store, 1, 20e6),
            lifted=True,
            ready=5,
        ),
        Setting("GPT, saves", "checkpoint", lambda _: gpt("--save-every", 40), lambda _, w: gpt()),
        Setting("ResNet-50, two workers", "loader_workers", lambda _: images(2), lambda _, w: images(w)),
        Setting("GPT, no workers", "gpu", lambda _: trained("gpt", 0, "--batch-size", 16)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "mlscale-trained")
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    end_with_its_jobs()
    if options.tables:
        results = read(options.tables)
        print(tables([diagnosed_anew(result) for result in results] if options.again else results))
        return
    from benchmarks.jobs.trained import make_images

    make_images(options.data, 400)
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-real-gpu-"))
    results: list[Result] = []
    for setting in settings(options.data, os.cpu_count() or 1):
        if options.names and setting.name not in options.names:
            continue
        began = time.monotonic()
        try:
            result = run(setting, scratch, None, time_alone=False, number_of_starts=STARTS)
        except (AssertionError, RuntimeError) as error:
            print(f"{setting.name}: {error}", file=sys.stderr, flush=True)
            continue
        results.append(result)
        if options.keep:
            keep(result, options.keep, "".join(c if c.isalnum() else "_" for c in setting.name))
        took = time.monotonic() - began
        print(f"{setting.name}: {result['verdict']}, {result['promise']} ({took:.0f} s)", file=sys.stderr, flush=True)
    print(tables(results))


if __name__ == "__main__":
    main()
