"""What a watch could not see: why there is no verdict then, and what it costs where there is one. Pure."""

from __future__ import annotations

from typing import Any

from mlscale.profile import timeline, training
from mlscale.profile.gpus import Busy
from mlscale.profile.job import TrainingThread
from mlscale.profile.phases import Stretches
from mlscale.profile.recognise import framework_of
from mlscale.profile.seen import Seen
from mlscale.recording import Fact, ProcessSeen, Recording

MIN_LOOKS = 40  # at the training thread: fewer tell a share no better than to a quarter
MIN_STEADY_S = 3.0  # of a job that ended
MIN_SIMULATED = 0.1  # of the training thread's looks
NOTHING = 0.01  # of the time


def no_verdict_because(seen: Seen, stretches: Stretches, thread: TrainingThread | None, gpu: Busy) -> str | None:
    """Why there is no verdict, and what to do; None where training was seen."""
    if not seen.roles.training:
        return "No training process was found in the tree. Attach once the first batches have gone through."
    if stretches.whole is None:
        return (
            "Fewer than three batches went through while it was watched: the job was starting, or its steps are long. "
            "Watch again once it trains, or longer (--duration 2m)."
        )
    if thread is None or thread.samples < MIN_LOOKS:
        return "The watch was too short to tell anything. Watch for at least 10 s of training."
    trains = thread.data + thread.step >= NOTHING or thread.host >= NOTHING or thread.save >= NOTHING
    if thread.stacks_seen and not trains:
        return "The training thread only waited. Attach while the job trains."
    if seen.recording.ended == "job exited" and timeline.length([stretches.whole]) < MIN_STEADY_S:
        return "The job ended before it had trained for three seconds. Watch a longer run."
    if not gpu.gpus and _is_blind(seen):
        return (
            "The kernel hides what the job's threads do, and no GPU tells it either. "
            "`mlscale doctor` says how to open this; then watch again."
        )
    if seen.loader is None and framework_of(seen.recording) is None and not gpu.fraction:
        return (
            "The process shows no sign of training: no loader, no framework and no busy GPU were seen. "
            "Name the training process with --pid."
        )
    return None


def warnings_of(seen: Seen, stretches: Stretches) -> list[str]:
    """What could not be seen, and what that costs."""
    recording = seen.recording
    found = list(recording.warnings)
    unreadable = {
        str(event.facts["unreadable"])
        for event in recording.events
        if isinstance(event, ProcessSeen) and event.role in ("training", "worker") and event.facts.get("unreadable")
    }
    for reason in sorted(unreadable):
        found.append(
            f"The job's Python frames could not be read: {reason}. Activities were told from thread states and system "
            "calls alone. `mlscale doctor` says how to open this."
        )
    for event in recording.events:
        if isinstance(event, Fact) and event.name == "gpu_lost":
            found.append(f"GPU {event.values['index']} was lost while watching: {event.values['reason']}.")
    others: Any = recording.header.get("others") or []
    if others:
        found.append(
            f"Other jobs run here too and were not watched ({'; '.join(map(str, others))}). Choose with --pid."
        )
    if recording.ended == "job exited":
        found.append("The job ended while it was watched.")
    if recording.ended == "interrupted":
        found.append("The watch was interrupted; this is what was seen until then.")
    if stretches.first_epoch:
        found.append(
            "It was watched in its first epoch, and the data came from the device. Later epochs may find it in the page "
            "cache: watch again then, before moving the data."
        )
    return found


def no_gpu_because(recording: Recording) -> str | None:
    """Why no GPU was seen, in the driver's words; None where one was."""
    reasons = (
        event.values["reason"] for event in recording.events if isinstance(event, Fact) and event.name == "no_gpu"
    )
    return next((str(reason) for reason in reasons), None)


def sleeps_in_step(seen: Seen) -> bool:
    """Whether the training thread sleeps outside data loading for a good part of the time: a stand-in for a GPU."""
    looks = training.understand(seen.lead_looks, seen.recording.stacks, False, False)
    asleep = sum(1 for look in looks if look.sample.target == "sleep" and look.what in ("step", "sleep"))
    return asleep > MIN_SIMULATED * max(1, len(looks))


def _is_blind(seen: Seen) -> bool:
    """Whether neither stacks nor system calls of the training threads were to be seen."""
    looks = [look for thread in seen.main.values() for look in seen.looks.get(thread, ())]
    return bool(looks) and all(look.stack is None and look.syscall is None for look in looks)
