"""What real jobs with real faults need of the machine, asked for before the first one starts."""

from __future__ import annotations

import argparse
import os
import shutil

_PACKAGES = {"gcc": "gcc libc6-dev", "taskset": "util-linux", "fusermount": "fuse libfuse2"}


def check_needs(parser: argparse.ArgumentParser) -> None:
    """Ends the program with one line where something is missing: a run of an hour should not end at its tenth job."""
    missing = [packages for program, packages in _PACKAGES.items() if shutil.which(program) is None]
    if missing:
        parser.error(f"the jobs' faults need: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        parser.error("the jobs' faults (a throttled disk, a quota, a dropped page cache) need root")
