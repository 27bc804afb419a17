"""A benchmark that is told to end takes its jobs with it."""

from __future__ import annotations

import signal
import sys


def end_with_its_jobs() -> None:
    """SIGTERM (from `timeout`, say) ends the benchmark as Ctrl-C does, through every `finally` that ends a job."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
