"""What a plan costs: the time of a whole climb beside that of reading the facts, and the command's memory.

python benchmarks/plan.py
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from mlscale.cli.output import Output
from mlscale.cli.recommend import Request, case_of, read_facts
from mlscale.plan.climb import climb

AIM_S, AIM_MIB = 0.5, 120
WORKLOADS = ("resnet50-imagenet", "bert-large-pretraining", "mpt-7b-pretraining")


def main() -> int:
    facts = read_facts(datetime.now(timezone.utc))
    print("| workload | setups kept | climb over all regions, median of 5 |\n|---|---|---|")
    slowest = 0.0
    for workload in WORKLOADS:
        request = Request(output=Output("json", None), workload=workload, deadline="24h", regions=("all",))
        case, _, _ = case_of(request, facts)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            plan = climb(case)
            times.append(time.perf_counter() - began)
        slowest = max(slowest, statistics.median(times))
        print(f"| {workload} | {len(plan.candidates)} | {statistics.median(times):.2f} s |")
    command = [sys.executable, "-m", "mlscale", "recommend", "-w", WORKLOADS[0], "--region", "all", "-f", "json"]
    done = subprocess.run(command, capture_output=True, check=True)
    json.loads(done.stdout)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\nThe whole command: {memory:.0f} MiB. Aims: {AIM_S} s, {AIM_MIB} MiB.")
    return 0 if slowest <= AIM_S and memory <= AIM_MIB else 1


if __name__ == "__main__":
    raise SystemExit(main())
