"""A recording, sorted once: who is who, the looks at each thread, the counters, the loader. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlscale.loaders.kind import LoaderKind
from mlscale.profile.counters import Totals
from mlscale.profile.job import Loader
from mlscale.profile.recognise import Roles, loader_of, roles_of, training_tids
from mlscale.recording import Recording, ThreadSample

Thread = tuple[int, int]  # process and thread id


@dataclass(frozen=True)
class Seen:
    """What the questions about a job are put to."""

    recording: Recording
    totals: Totals
    roles: Roles
    looks: Mapping[Thread, Sequence[ThreadSample]]  # at each thread, in the order of time
    main: Mapping[int, Thread]  # each training process's training thread, in the order of ranks
    kind: LoaderKind | None
    loader: Loader | None

    @property
    def inline(self) -> bool:
        """Whether the training thread loads the data itself."""
        return self.loader is not None and self.loader.worker_kind == "inline"

    @property
    def lead_looks(self) -> Sequence[ThreadSample]:
        """Looks at the first rank's training thread."""
        lead = next(iter(self.main.values()), None)
        return self.looks.get(lead, ()) if lead is not None else ()


def seen_of(recording: Recording) -> Seen:
    """Sorts a recording. Never raises for what it lacks."""
    roles = roles_of(recording)
    looks: dict[Thread, list[ThreadSample]] = {}
    for event in recording.events:
        if isinstance(event, ThreadSample):
            looks.setdefault((event.pid, event.tid), []).append(event)
    main = training_tids(recording, roles, looks)
    kind, loader = loader_of(recording, roles, main, looks)
    return Seen(recording, Totals(recording), roles, looks, main, kind, loader)
