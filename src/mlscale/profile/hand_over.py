"""What a batch of a loop that loads its own data would cost to get from a worker. Pure."""

from __future__ import annotations

import statistics

from mlscale.profile.job import HandOver, Loader
from mlscale.recording import Fact, Recording


def hand_over_of(recording: Recording, loader: Loader | None, inline: bool) -> HandOver | None:
    """Median bytes of a sample times the samples of a batch; None where workers do it already, or no sample was seen."""
    facts = [event for event in recording.events if isinstance(event, Fact)]
    samples = [float(fact.values["bytes"]) for fact in facts if fact.name == "sample"]
    costs = next((fact.values for fact in facts if fact.name == "fresh_memory"), None)
    counted = [fact.values["batch"] for fact in facts if fact.name == "sample" and fact.values.get("batch")]
    batch = (loader.batch_size if loader is not None else None) or next(iter(counted), None)
    if not inline or not batch or not samples or costs is None:
        return None
    batch_bytes = statistics.median(samples) * float(batch)
    return HandOver(batch_bytes, float(costs["fill_s_per_byte"]), float(costs["release_s_per_byte"]))
