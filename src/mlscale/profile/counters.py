"""Running totals of processes and of the machine, as rates over the steady window. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mlscale.profile.timeline import Span, gained, length
from mlscale.recording import MachineSample, ProcessGone, ProcessSample, ProcessSeen, Recording, ThreadSample

Points = list[tuple[float, float]]


class Totals:
    """Finds the running totals of a recording once; then answers for any spans."""

    def __init__(self, recording: Recording) -> None:
        self.seen: dict[int, ProcessSeen] = {}
        self.gone: dict[int, float] = {}
        self.samples: dict[int, list[ProcessSample]] = {}
        self.machine: list[MachineSample] = []
        for event in recording.events:
            if isinstance(event, ProcessSample):
                self.samples.setdefault(event.pid, []).append(event)
            elif isinstance(event, ProcessSeen):
                self.seen[event.pid] = event
            elif isinstance(event, ProcessGone):
                self.gone[event.pid] = event.t
            elif isinstance(event, MachineSample):
                self.machine.append(event)

    def rate(
        self, pids: Iterable[int], read: Callable[[ProcessSample], float | None], spans: Sequence[Span]
    ) -> float | None:
        """Sum over processes of a counter's growth per second of the spans; None where no process tells it."""
        total, known = 0.0, False
        for pid in pids:
            points = [(s.t, value) for s in self.samples.get(pid, []) if (value := read(s)) is not None]
            if len(points) < 2:
                continue
            known = True
            born = self.seen[pid].t if pid in self.seen and self.seen[pid].t > 1.0 else -1.0
            alive = [(max(a, born), min(b, self.gone.get(pid, b))) for a, b in spans]
            alive = [(a, b) for a, b in alive if b > a]
            covered = [(max(a, points[0][0]), min(b, points[-1][0])) for a, b in alive]
            covered = [(a, b) for a, b in covered if b > a]
            if covered:
                total += (gained(points, covered) or 0.0) / length(covered) * length(alive)
        return total / length(spans) if known and length(spans) > 0 else None

    def machine_points(self, key: str, index: int | None = None) -> Points:
        """A counter of the machine over time."""
        found: Points = []
        for sample in self.machine:
            value: Any = sample.values.get(key)
            if value is not None:
                found.append((sample.t, float(value if index is None else value[index])))
        return found

    def machine_rate(self, key: str, spans: Sequence[Span], index: int | None = None) -> float | None:
        """Growth per second of a counter of the machine."""
        points = self.machine_points(key, index)
        inside = [(max(a, points[0][0]), min(b, points[-1][0])) for a, b in spans] if len(points) > 1 else []
        inside = [(a, b) for a, b in inside if b > a]
        if not inside:
            return None
        return (gained(points, inside) or 0.0) / length(inside)

    def gauge(self, key: str) -> float | None:
        """The last value of a gauge of the machine."""
        return next((float(s.values[key]) for s in reversed(self.machine) if key in s.values), None)


def turns_per_s(samples: Sequence[ThreadSample]) -> float | None:
    """How often a thread was given a core, a second. None where unknown."""
    told = [(s.t, s.turns) for s in samples if s.turns is not None]
    if len(told) < 2 or told[-1][0] <= told[0][0]:
        return None
    return (told[-1][1] - told[0][1]) / (told[-1][0] - told[0][0])


def thread_shares(samples: Sequence[ThreadSample], spans: Sequence[Span]) -> tuple[float, float] | None:
    """Share of a thread's time on a CPU and in the run queue, from the kernel's own exact totals. None where unknown."""
    cpu = [(s.t, s.cpu_ns / 1e9) for s in samples if s.cpu_ns is not None]
    queue = [(s.t, s.queue_ns / 1e9) for s in samples if s.queue_ns is not None]
    if len(cpu) < 2 or len(queue) < 2:
        return None
    covered = [(max(a, cpu[0][0]), min(b, cpu[-1][0])) for a, b in spans]
    covered = [(a, b) for a, b in covered if b > a]
    seconds = length(covered)
    if seconds <= 0:
        return None
    return (gained(cpu, covered) or 0.0) / seconds, (gained(queue, covered) or 0.0) / seconds
