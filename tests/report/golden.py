"""Golden files: what each format makes of recorded runs. To renew them: python -m tests.report.golden --update

A change of a renderer, of a sentence or of the model shows here as a difference to be looked at.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
RECORDINGS = HERE.parent / "recordings"
sys.path.insert(0, str(HERE))

import samples_plan  # noqa: E402

import mlscale  # noqa: E402
from mlscale.cli.report import opened  # noqa: E402
from mlscale.report.diff import diff_of  # noqa: E402
from mlscale.report.formats import render  # noqa: E402

if TYPE_CHECKING:
    from mlscale.report.formats import AnyReport

WIDTH = 100  # columns of the terminal
SUFFIXES = {"terminal": ".txt", "json": ".json", "markdown": ".md", "html": ".html", "jira": ".jira"}
# A verdict of each family; ranks; phases that were left out.
RUNS = (
    "no_workers",
    "a_throttled_disk_2",
    "a_healthy_job_after_a_slo",
    "checkpoints_that_block",
    "two_ranks",
)
_HTML_RUNS = ("no_workers", "a_healthy_job_after_a_slo", "plan", "diff")  # pages are long: enough to see each kind


@functools.cache
def report_of(name: str) -> AnyReport:
    """The diagnosis of a recording, the comparison of two of them ("diff"), or a plan ("plan")."""
    if name == "plan":
        return samples_plan.plan()
    if name == "diff":
        before, after = (report_of(f"a_throttled_disk_{workers}") for workers in (0, 2))
        assert before.kind == "diagnosis" and after.kind == "diagnosis"
        return diff_of(before, after)
    return opened(RECORDINGS / f"{name}.mlscale")


# Each golden file, and the report and format that it is made from.
FILES = {
    f"{name}{suffix}": (name, format)
    for name in (*RUNS, "diff", "plan")
    for format, suffix in SUFFIXES.items()
    if format != "html" or name in _HTML_RUNS
}


def text_of(file: str) -> str:
    """What a golden file should hold. A new version of mlscale changes no report."""
    name, format = FILES[file]
    text = render(report_of(name), format, False, WIDTH)
    for before, after in (
        (f"mlscale {mlscale.__version__}", "mlscale VERSION"),
        (f'"version": "{mlscale.__version__}"', '"version": "VERSION"'),
    ):
        text = text.replace(before, after)
    return text


def main() -> None:
    """Writes the files, or says which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the files")
    update = parser.parse_args().update
    GOLDEN.mkdir(exist_ok=True)
    for file in FILES:
        path, text = GOLDEN / file, text_of(file)
        if not path.exists() or path.read_text("utf-8") != text:
            print(file, "written" if update else "differs")
            if update:
                path.write_text(text, "utf-8")
    for path in GOLDEN.iterdir():
        if path.name not in FILES:
            print(path.name, "removed" if update else "is made by nothing")
            if update:
                path.unlink()


if __name__ == "__main__":
    main()
