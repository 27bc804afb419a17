"""What NVML and its GPM counters say of a real GPU, against what torch.profiler counted, for work of known patterns.

    python benchmarks/gpu_signals.py [--keep rows.jsonl]       some 80 s, on a machine with an NVIDIA GPU that nobody uses

Samples are mlscale's own (`observe.gpu.Gpus`, four times a second).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.settings import module
from tests.running import ROOT, environment

from mlscale.observe.gpu import Gpus

EVERY_S = 0.25
SETTLE_S = 1.0  # NVML's utilisation is a mean over the time before
FIGURES = ("busy", "gpm_graphics", "gpm_sm", "gpm_tensor", "gpm_dram", "pcie_bytes_per_s", "power_w")


def sampled(gpus: Gpus, stop: threading.Event) -> list[tuple[float, dict[str, Any]]]:
    """(time, what a look says) until `stop`."""
    samples = []
    while not stop.wait(EVERY_S):
        samples.append((time.monotonic(), gpus.sample(0)))
    return samples


def compared(row: dict[str, Any], samples: list[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    """A pattern's truth, with the means of the samples meanwhile."""
    inside = [values for t, values in samples if row["began"] + SETTLE_S <= t <= row["ended"]]
    means = {}
    for name in FIGURES:
        values = [float(sample[name]) for sample in inside if sample.get(name) is not None]
        means[name] = statistics.fmean(values) if values else None
    return {**row, "nvml": means, "samples": len(inside)}


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    lines = [
        "| pattern | torch.profiler: busy | kernels | NVML | GPM: graphics | SM | tensor | DRAM | PCIe, GB/s (copied) | W |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        nvml = row["nvml"]
        shares = [row["busy"], row["kernels"], *(nvml[name] for name in FIGURES[:5])]
        cells = [row["pattern"], *("–" if share is None else f"{share:.3f}" for share in shares)]
        pcie = "–" if nvml["pcie_bytes_per_s"] is None else f"{nvml['pcie_bytes_per_s'] / 1e9:.2f}"
        cells.append(f"{pcie} ({row['copied_bytes_per_s'] / 1e9:.2f})")
        cells.append("–" if nvml["power_w"] is None else f"{nvml['power_w']:.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    gpus = Gpus()
    if not gpus.count:
        parser.error(f"no GPU: {gpus.reason}")
    print(json.dumps(gpus.facts()[0]), file=sys.stderr)
    stop, samples = threading.Event(), []
    watcher = threading.Thread(target=lambda: samples.extend(sampled(gpus, stop)))
    watcher.start()
    try:
        done = subprocess.run(
            module("bursts"), env=environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
    finally:
        stop.set()
        watcher.join()
    rows = [compared(json.loads(line), samples) for line in done.stdout.splitlines()]
    if options.keep:
        options.keep.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(table(rows))


if __name__ == "__main__":
    main()
