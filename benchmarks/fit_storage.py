"""Fits what is fitted in profiles/calibration/storage.yaml, and writes the points that it was fitted on.

    python benchmarks/fit_storage.py ../shared/validation [--write]

Without --write it prints the values and, by families left out, what they are worth.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.published.outcome import summary
from benchmarks.published.storage import CALIBRATION, outcomes_with
from benchmarks.published.storage_fit import POINTS, fit, points
from benchmarks.published.storage_rows import cases

from mlscale.calibration.storage import read_storage_constants


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="change storage.yaml and storage_points.csv")
    options = parser.parse_args()
    found, shipped = cases(options.folder), read_storage_constants(CALIBRATION)
    told = points(found)
    for power in (2.0, 3.0, 4.0, 5.0, 6.0, 8.0):
        tried = dataclasses.replace(shipped, coupling_power=power)
        sharp = [case for case in found if case.table in ("loader_worker_sweeps.csv", "ffcv_loader_aws_p3dn.csv")]
        print(f"coupling power {power:g}: {summary(outcomes_with(sharp, tuple(told), tried))}")
    values = fit(told, shipped.coupling_power)
    for name, value in values.items():
        print(f"{name}: {value:.4g}")
    families = sorted({point.family for point in told})
    for half in (0, 1):
        # Fitted on every second family, tried on the others: what a table that nobody has seen would get.
        known = [point for point in told if families.index(point.family) % 2 == half]
        fitted = dataclasses.replace(shipped, **fit(known, shipped.coupling_power))
        unseen = [case for case in found if case.family not in {point.family for point in known}]
        print(f"fitted on half {half + 1}, the others: {summary(outcomes_with(unseen, (), fitted))}")
    if options.write:
        text = CALIBRATION.read_text(encoding="utf-8")
        for name, value in values.items():
            text, count = re.subn(rf"(^{name}:\n  value: )\S+", rf"\g<1>{value:.4g}", text, flags=re.MULTILINE)
            assert count == 1, name
        CALIBRATION.write_text(text, encoding="utf-8")
        with POINTS.open("w", encoding="utf-8", newline="") as lines:
            out = csv.writer(lines, lineterminator="\n")
            out.writerow(["kind", "family", "a", "b", "c"])
            out.writerows([p.kind, p.family, f"{p.a:.5g}", f"{p.b:.5g}", f"{p.c:.5g}"] for p in told)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
