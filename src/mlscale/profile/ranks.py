"""Several ranks as one job. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from mlscale.profile.counters import Totals
from mlscale.profile.job import Rank, TrainingThread

_NOT_A_SHARE = "save_seconds"


def mean_of(parts: Sequence[TrainingThread]) -> TrainingThread | None:
    """The ranks' mean; the functions of the first."""
    if len(parts) <= 1:
        return parts[0] if parts else None
    count = len(parts)

    def mean(name: str) -> float:
        return float(sum(getattr(part, name) for part in parts)) / count

    shares = [field.name for field in fields(TrainingThread) if field.type == "float" and field.name != _NOT_A_SHARE]
    return replace(
        parts[0],
        **{name: mean(name) for name in shares},  # type: ignore[arg-type]
        stacks_seen=all(part.stacks_seen for part in parts),
        samples=sum(part.samples for part in parts),
    )


def ranks_of(totals: Totals, parts: Mapping[int, TrainingThread]) -> tuple[Rank, ...]:
    """Each rank by its number (RANK, or the order of the processes); none where there is but one."""
    if len(parts) <= 1:
        return ()
    found = []
    for number, (pid, part) in enumerate(parts.items()):
        rank = totals.seen[pid].facts.get("rank") if pid in totals.seen else None
        found.append(
            Rank(rank if isinstance(rank, int) else number, pid, part.data, part.step, part.host, part.communication)
        )
    return tuple(sorted(found, key=lambda r: r.rank))
