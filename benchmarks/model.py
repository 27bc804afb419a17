"""How far the queueing model is from a simulation of PyTorch's loader, over random jobs near the knee.

Run: python benchmarks/model.py [--jobs 200] [--json]      two seconds; no job is run
Beside it the bound that needs no model: the slowest of step, cores and workers. Jobs are drawn so that loader and step
are within 0.6 and 1.6 of each other; the two classes differ in how much a batch's CPU time varies.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.model.simulation import Job, simulate

from mlscale.model.pipeline import Pipeline, throughput

CLASSES = {"regular (cv 0.1 to 0.3)": (0.1, 0.3), "irregular (cv 0.4 to 0.8)": (0.4, 0.8)}


def draw(chance: random.Random, cvs: tuple[float, float]) -> Job:
    """A job whose step takes 0.6 to 1.6 times as long as its loader needs at best."""
    workers, cores = chance.choice([1, 2, 3, 4, 6, 8, 12, 16]), chance.choice([1, 2, 4, 8])
    cpu_s, store_s = chance.uniform(0.005, 0.08), chance.choice([0.0, 0.0, chance.uniform(0.01, 0.3)])
    loader_s = max(cpu_s / cores, (cpu_s + store_s) / workers)
    step_s = loader_s / chance.uniform(0.6, 1.6)
    return Job(workers, cores, cpu_s, store_s, step_s, cpu_cv=chance.uniform(*cvs), step_cv=0.1)


def errors(job: Job) -> tuple[float, float]:
    """Of the model, and of the bound: (predicted over simulated) - 1."""
    truth = simulate(job, 2000)
    variability = (job.cpu_cv**2 + job.step_cv**2) / 2
    network = Pipeline(
        job.workers, job.prefetch, job.cores, job.cpu_s, job.store_s, job.step_s, variability=variability, crowding=0.0
    )
    bound = min(1 / job.step_s, job.cores / job.cpu_s, job.workers / (job.cpu_s + job.store_s))
    return throughput(network) / truth - 1, bound / truth - 1


def summary(found: list[float]) -> dict[str, float]:
    sizes = sorted(abs(value) for value in found)
    ranks = {"median": statistics.median(sizes), "p90": sizes[int(0.9 * len(sizes))], "max": sizes[-1]}
    return {name: round(value, 4) for name, value in {**ranks, "mean_signed": statistics.fmean(found)}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200, help="of each class")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    for name, cvs in CLASSES.items():
        chance = random.Random(1)
        both = [errors(draw(chance, cvs)) for _ in range(options.jobs)]
        found[name] = {"model": summary([m for m, _ in both]), "bound": summary([b for _, b in both])}
    if options.json:
        print(json.dumps({"jobs": options.jobs, "classes": found}, indent=2))
        return
    print("| batches | predicted by | median error | 90 % within | largest | mean, signed |\n|---|---|---|---|---|---|")
    for name, rows in found.items():
        for by, row in rows.items():
            print(
                f"| {name} | {by} | {row['median']:.1%} | {row['p90']:.1%} | {row['max']:.1%} | {row['mean_signed']:+.1%} |"
            )


if __name__ == "__main__":
    main()
