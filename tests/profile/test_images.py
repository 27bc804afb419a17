"""Images stored larger than they are used, and what storing them smaller would save."""

from __future__ import annotations

import dataclasses

import pytest

from mlscale.profile.images import oversized_of
from mlscale.profile.job import FunctionShare, Workers
from mlscale.recording import Fact, Recording

PIL = "/env/site-packages/PIL/"
# name, file, share of a worker's time; and whether a smaller image makes it quicker
FUNCTIONS = (
    ("ImageFile.load", PIL + "ImageFile.py", 0.40, True),
    ("Image.resize", PIL + "Image.py", 0.30, True),
    ("Image.convert", PIL + "Image.py", 0.05, True),
    ("open", PIL + "Image.py", 0.05, False),  # a header is as long in a small file
    ("JpegImageFile._open", PIL + "JpegImagePlugin.py", 0.05, False),
    ("Image.tobytes", PIL + "Image.py", 0.05, False),  # of what was resized
    ("load", "/home/me/train.py", 0.10, False),  # the user's own, by the same name
)


def workers() -> Workers:
    shares = tuple(FunctionShare(name, file, 1, "compute", share) for name, file, share, _ in FUNCTIONS)
    return Workers(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, functions=shares, samples=200)


def recording(stored: tuple[int, int], wanted: tuple[int, int], box: list[float] | None = None) -> Recording:
    fact = Fact(1.0, "image", {"stored": list(stored), "wanted": list(wanted), "box": box})
    return Recording({}, (), (fact,), "duration", 10.0)


def test_only_what_grows_with_an_image_shrinks_with_it() -> None:
    found = oversized_of(recording((1200, 900), (256, 256)), workers(), None, inline=False)
    assert found is not None
    grows = sum(share for _, _, share, with_size in FUNCTIONS if with_size)
    assert found.decode_share + found.resize_share == pytest.approx(grows)
    assert found.resize_share == pytest.approx(0.30)
    assert found.looks == 200


def test_functions_too_small_to_be_kept_count_as_well() -> None:
    """Only the largest functions are kept; what else a worker computes, or waits for a core to compute, stays."""
    some = dataclasses.replace(workers(), functions=workers().functions[:2], compute=0.8, run_queue=0.2)
    found = oversized_of(recording((1000, 1000), (500, 500)), some, None, inline=False)
    assert found is not None
    assert found.freed == pytest.approx(0.40 * 0.75 + 0.30)


@pytest.mark.parametrize(
    ("stored", "wanted", "box", "used"),
    [
        ((512, 512), (256, 256), None, (256, 256)),
        # A crop of half the width and height, at its own scale: the whole image would be 448 pixels wide.
        ((1000, 800), (224, 224), [0, 0, 500, 400], (448, 448)),
        ((300, 300), (256, 256), None, None),  # hardly larger
        ((200, 200), (256, 256), None, None),  # smaller
    ],
)
def test_sizes(
    stored: tuple[int, int], wanted: tuple[int, int], box: list[float] | None, used: tuple[int, int] | None
) -> None:
    found = oversized_of(recording(stored, wanted, box), workers(), None, inline=False)
    assert (found.used if found else None) == used


def test_an_image_stored_as_it_is_used_is_not_resized_any_more() -> None:
    """PIL copies it then. A crop is resized whatever the size of the image that it is cut from."""
    whole = oversized_of(recording((1000, 1000), (500, 500)), workers(), None, inline=False)
    full = oversized_of(recording((1000, 1000), (500, 500), [0, 0, 1000, 1000]), workers(), None, inline=False)
    crop = oversized_of(recording((2000, 2000), (500, 500), [0, 0, 1000, 1000]), workers(), None, inline=False)
    assert whole is not None and full is not None and crop is not None
    assert whole.freed == full.freed == pytest.approx(0.45 * 0.75 + 0.30)
    assert crop.freed == pytest.approx(0.45 * 0.75 + 0.30 * 0.75)


def test_without_images_nothing_is_said() -> None:
    assert oversized_of(Recording({}, (), (), "duration", 10.0), workers(), None, inline=False) is None
