"""Who feeds the loop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mlscale.profile.build import build_profile
from mlscale.recording import ThreadSample, read

AHEAD = Path(__file__).parent.parent / "recordings" / "threads_ahead_that_hold_the_lock.mlscale"


def test_threads_that_are_ahead_are_the_loader_where_the_loop_waits_for_the_lock() -> None:
    loader = build_profile(read(AHEAD)).job.loader
    assert loader is not None
    assert (loader.kind, loader.workers) == ("threads", 4)


def test_a_full_queue_in_a_process_whose_loop_waits_for_no_lock_tells_nothing() -> None:
    """It may be anyone's: a scanner's, an uploader's."""
    recording = read(AHEAD)
    events = [
        event._replace(target="sleep") if isinstance(event, ThreadSample) and event.tid == event.pid else event
        for event in recording.events
    ]
    assert build_profile(dataclasses.replace(recording, events=events)).job.loader is None
