"""Copies the recordings of a run of tests/test_diagnose_real.py here, by the name of the test."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent

for found in sorted(Path(sys.argv[1]).glob("test_*[0-9]/log.mlscale")):
    name = found.parent.name.removeprefix("test_").rstrip("0123456789").rstrip("_")
    shutil.copy(found, HERE / f"{name}.mlscale")
    print(name)
