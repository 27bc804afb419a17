"""Sizes of images, read from a real process that resizes them."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from tests.running import environment

from mlscale.observe.process import Watched
from mlscale.recording import Fact, Recorder

# As torchvision's RandomResizedCrop: what is cut out is another image, and resized in a function of its own.
CUT_OUT = """
from PIL import Image
def resized_crop(img, left, top, width, height, size):
    img = img.crop((left, top, left + width, top + height))
    return img.resize(size, Image.Resampling.BICUBIC)
def forward(img):
    return resized_crop(img, 100, 50, 1000, 800, (1200, 960))
image = Image.new("RGB", (1600, 1200))
print("ready", flush=True)
while True:
    forward(image)
"""
WHOLE = """
from PIL import Image
image = Image.new("RGB", (1600, 1200))
print("ready", flush=True)
while True:
    image.resize((1400, 1100), Image.Resampling.BICUBIC)
"""


@pytest.mark.parametrize(
    ("program", "wanted", "box"),
    [(CUT_OUT, [1200, 960], (1000, 800)), (WHOLE, [1400, 1100], (1600, 1200))],
)
def test_the_stored_size_is_that_of_the_whole_image(program: str, wanted: list[int], box: tuple[int, int]) -> None:
    with subprocess.Popen([sys.executable, "-c", program], env=environment(), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            recorder = Recorder({})
            watched = Watched(process.pid, 1, recorder)
            watched.attach()
            watched.role = "worker"
            found: list[Fact] = []
            deadline = time.monotonic() + 20
            while not found and time.monotonic() < deadline:
                watched.look(process.pid, time.monotonic())
                found = [e for e in recorder.events if isinstance(e, Fact) and e.name == "image"]
                time.sleep(0.003)
            watched.close()
        finally:
            process.kill()
    assert found, "no resizing was seen"
    assert found[0].values["stored"] == [1600, 1200]
    assert found[0].values["wanted"] == wanted
    left, top, right, bottom = found[0].values["box"] or (0, 0, 1600, 1200)
    assert (right - left, bottom - top) == box
