"""Loops that load their own data: workers promised, against the advised number of them tried.

    python benchmarks/no_workers.py [--keep results.jsonl] [--tables results.jsonl]

Some six minutes, on an idle machine; needs root, and the extra `bench`. Batches of 60 KB to 13 MB, dear and cheap to prepare:
what such a batch costs to get from a worker is all that is new to the job.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.doing import Data
from benchmarks.drawn import Drawn
from benchmarks.ending import end_with_its_jobs
from benchmarks.promise import read
from benchmarks.unseen import run, tables
from tests.virtual_nvml.gpu import build_driver

JOBS = (
    Drawn("images", 6.8, 224, 0),
    Drawn("images", 15, 320, 0),
    Drawn("images", 40, 500, 0),
    Drawn("hdf5", 12, 0, 0),
    Drawn("audio", 10, 0, 0),
    Drawn("shards", 15, 0, 0),
    Drawn("files", 15, 1, 0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tables", type=Path)
    options = parser.parse_args()
    end_with_its_jobs()
    if options.tables:
        print(tables(read(options.tables)))
        return
    data = Data(Path(tempfile.mkdtemp(prefix="mlscale-no-workers-")))
    driver = build_driver(data.folder)
    data.make()
    results = []
    for drawn in JOBS:
        results.append(run(drawn, data, driver))
        if options.keep:
            with options.keep.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
    print(tables(results))


if __name__ == "__main__":
    main()
