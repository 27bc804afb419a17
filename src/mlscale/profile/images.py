"""Images stored larger than the model takes them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mlscale.profile.job import FunctionShare, Oversized, TrainingThread, Workers
from mlscale.recording import Fact, Recording

AREA_RATIO = 2.0  # stored pixels per used pixel from which storing them smaller pays (1.4 times the edge)
_RESIZES = ("Image.resize", "resize", "thumbnail")
# PIL's functions that go through all the pixels, or all the bytes, of an image as it is stored. Opening it, reading its header
# and choosing a decoder take as long for a small one; what follows the resizing works on the small one anyway.
_WITH_ITS_SIZE = (
    "load",
    "load_read",
    "load_prepare",
    "copy",
    "crop",
    "_crop",
    "convert",
    "transpose",
    "exif_transpose",
)


def oversized_of(
    recording: Recording, workers: Workers | None, thread: TrainingThread | None, inline: bool
) -> Oversized | None:
    """Median stored and used sizes, where images are resized down by much; None where they are not, or none was seen."""
    images = [e.values for e in recording.events if isinstance(e, Fact) and e.name == "image"]
    if not images:
        return None
    stored = [(int(v["stored"][0]), int(v["stored"][1])) for v in images]
    used, crops = [], 0
    for v in images:
        width, height = float(v["wanted"][0]), float(v["wanted"][1])
        box = v.get("box")
        if box:
            # A crop uses only its box: the whole image at the box's scale is what would have to be stored.
            width *= v["stored"][0] / max(1.0, box[2] - box[0])
            height *= v["stored"][1] / max(1.0, box[3] - box[1])
            crops += (box[2] - box[0], box[3] - box[1]) != tuple(v["stored"])
        used.append((round(width), round(height)))
    ratios = [s[0] * s[1] / max(1, u[0] * u[1]) for s, u in zip(stored, used, strict=True)]
    if statistics.median(ratios) < AREA_RATIO:
        return None
    functions: Sequence[FunctionShare] = ()
    computes, looks_at = 0.0, 0
    if workers is not None and not inline:
        functions, looks_at = [f for f in workers.functions if f.activity == "compute"], workers.samples
        computes = workers.compute + workers.run_queue  # a look cannot tell them apart
    elif thread is not None:
        functions, looks_at = [f for f in thread.functions if f.activity == "data"], thread.samples
        computes = thread.data_cpu
    # Only the largest functions are kept: all that is computed may be more than those.
    total = max(computes, sum(f.share for f in functions)) or 1.0
    return Oversized(
        (round(statistics.median(s[0] for s in stored)), round(statistics.median(s[1] for s in stored))),
        (round(statistics.median(u[0] for u in used)), round(statistics.median(u[1] for u in used))),
        decode_share=sum(f.share for f in functions if _on_stored(f)) / total,
        resize_share=sum(f.share for f in functions if f.name.endswith(_RESIZES)) / total,
        looks=round(total * looks_at),
        crops=crops > len(images) / 2,
    )


def _on_stored(function: FunctionShare) -> bool:
    """Whether a function takes as long as the image is large, as it is stored."""
    return "/PIL/" in function.filename and function.name.rpartition(".")[2] in _WITH_ITS_SIZE
