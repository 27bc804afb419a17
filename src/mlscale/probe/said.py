"""The lines that a probe's child says -> plain data. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mlscale.errors import UsageProblem
from mlscale.probe.result import CodeFound, LoaderTrial, Part, StepTrial

_REMEDIES = {
    "import": " Run it from the job's folder, and name it as MODULE:NAME or FILE.py:NAME; --python names the interpreter.",
    "use": " Run it by itself first.",
}


def event_of(line: bytes) -> dict[str, Any]:
    """One event; {} for a line that was cut off when the child died."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def found_in(kind: str, target: str, events: Sequence[dict[str, Any]], ended: str) -> CodeFound:
    """What the events tell of the loader or step. Raises UsageProblem where the user's code failed before anything was
    measured; where it failed later, a note says so."""
    errors = [str(event.get("says", "")) for event in events if event.get("event") == "error"]
    found = _loader(target, events, ended) if kind == "loader" else _step(target, events, ended)
    measured = any(trial.parts for trial in found.loader) or bool(found.step and found.step.parts)
    if errors and not measured:
        where = next(str(event.get("where", "use")) for event in events if event.get("event") == "error")
        said = errors[0].rstrip(". ")
        raise UsageProblem(f"{target}: {said}{'' if said.endswith('?') else '.'}{_REMEDIES.get(where, '')}")
    notes = tuple(f"It failed before the time was up: {text.rstrip('. ')}." for text in errors)
    return CodeFound(
        found.target, found.loader, found.step, found.batch_size, (*found.notes, *notes), "failed" if errors else ended
    )


def _loader(target: str, events: Sequence[dict[str, Any]], ended: str) -> CodeFound:
    trials: list[LoaderTrial] = []
    size = None
    begun: dict[str, Any] | None = None
    first, epoch, parts = 0.0, None, list[Part]()

    def close() -> None:
        if begun is not None:
            trials.append(LoaderTrial(begun["workers"], begun["as_it_is"], first, tuple(parts), epoch))

    for event in events:
        name = event.get("event")
        if name == "trial":
            close()
            begun, first, epoch, parts = event, 0.0, None, []
            size = event["batch_size"]
        elif name == "first":
            first = event["s"]
        elif name == "epoch":
            epoch = event["batches"]
        elif name == "part":
            parts.append(_part(event))
            if size is None and event["amount"]:
                size = round(event["amount"] / event["count"])
    close()
    return CodeFound(target, tuple(trials), None, size, (), ended)


def _step(target: str, events: Sequence[dict[str, Any]], ended: str) -> CodeFound:
    warm = next((event for event in events if event.get("event") == "warm"), None)
    parts = tuple(_part(event) for event in events if event.get("event") == "part")
    step = None if warm is None else StepTrial(warm["calls"], parts, warm["synchronised"])
    return CodeFound(target, (), step, None, (), ended)


def _part(event: dict[str, Any]) -> Part:
    return Part(event["s"], event["count"], event["amount"], event["cpu_s"])
