"""Pictures of pages for the README and the docs, taken in a real browser: python -m tests.report.pictures

From recorded runs and, for the plan, from a sample: nothing is drawn by hand.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import golden
from browser import browser
from PIL import Image

from mlscale.report.formats import render

FOLDER = golden.HERE.parents[1] / "docs/pictures"
COLORS = 128  # of the palette: a page has few, and a small file is read sooner
# file, report, width and height in CSS pixels, scheme
PICTURES = (
    ("report-light.png", "no_workers", 1100, 1180, "light"),
    ("report-dark.png", "a_healthy_job_after_a_slo", 1100, 1180, "dark"),
    ("report-phone.png", "checkpoints_that_block", 375, 1180, "light"),
)


def main() -> None:
    """Takes them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        source = Path(folder) / "report.html"
        for file, name, width, height, scheme in PICTURES:
            source.write_text(render(golden.report_of(name), "html", False, 80), "utf-8")
            page.scheme(scheme)
            page.size(width, height)
            page.open(source)
            page.screenshot(FOLDER / file, whole=False)
            Image.open(FOLDER / file).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(
                FOLDER / file, optimize=True
            )
            print(FOLDER / file, (FOLDER / file).stat().st_size)


if __name__ == "__main__":
    main()
