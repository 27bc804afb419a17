"""Predicts published measurements from one measured row of each group, and says how far off it is.

    python benchmarks/hardware.py ../shared/validation [--json] [--tables]

A group (a model, a cluster size, a file system) that had a part in a shipped fit is left out of it and the rest is fitted
again. Tables that the folder lacks are passed over.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.published import multi_node, node_scaling, other_gpu, storage
from benchmarks.published.outcome import Outcome, summary

CLASSES: dict[str, Callable[[Path], Sequence[Outcome]]] = {
    "other_gpu": other_gpu.outcomes,
    "node_scaling": node_scaling.outcomes,
    "multi_node": multi_node.outcomes,
    "storage": storage.outcomes,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="laid out as ../shared/validation")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    parser.add_argument("--tables", action="store_true", help="a line for each table too")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder}: no such folder")
    found = {name: list(outcomes(options.folder)) for name, outcomes in CLASSES.items()}
    if options.json:
        print(json.dumps({name: summary(outcomes) for name, outcomes in found.items()}, indent=2))
        return 0
    print("| class | n | median error | 90 % within | inside the 90 % interval | naive guess, median |")
    print("|---|---|---|---|---|---|")
    for name, outcomes in found.items():
        print(line(name, outcomes))
        if options.tables:
            for table in sorted({outcome.table for outcome in outcomes}):
                print(line(f"– {table}", [outcome for outcome in outcomes if outcome.table == table]))
    return 0


def line(name: str, outcomes: Sequence[Outcome]) -> str:
    told = summary(outcomes)
    if not told["n"]:
        return f"| {name} | 0 | – | – | – | – |"
    return (
        f"| {name} | {told['n']} | {told['median_abs_error']:.1%} | {told['p90_abs_error']:.1%} "
        f"| {told['interval_coverage']:.1%} | {told['naive_median_abs_error']:.1%} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
