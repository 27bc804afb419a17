"""`mlscale diagnose`: find or launch the job, watch it, and report."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from mlscale.cli import options
from mlscale.cli.output import Output, emit, is_terminal, say
from mlscale.errors import MlscaleError, NothingToWatch, UnreadableInput, UsageProblem
from mlscale.report import words
from mlscale.report.formats import render

if TYPE_CHECKING:
    from mlscale.recording import Recording, RecordingWriter
    from mlscale.report.report import Report

INTERRUPTED = 130
FAILED_ON = 1
_EXIT = "job_exit"  # the fact in a recording that holds the exit status of a launched job


@dataclass(frozen=True)
class Request:
    """What the command line asks for. `command` is empty where no job is launched."""

    command: tuple[str, ...]
    pid: int | None
    keep_running: bool
    duration: str
    rate_hz: float
    record: Path | None
    replay: Path | None
    fail_on: tuple[str, ...]
    output: Output
    quiet: bool


def run(request: Request) -> int:
    """Watches or replays, and reports. Gives the exit code; raises MlscaleError."""
    duration_s, rate_hz = options.duration(request.duration), options.rate(request.rate_hz)
    fail_on = options.bottlenecks(request.fail_on)
    _check(request)
    if request.replay is not None:
        report = replayed(request.replay)
    else:
        recording = _watched(request, duration_s, rate_hz)
        if recording.ended == "interrupted" and not request.quiet:
            say("mlscale: interrupted; this is what was seen until then.")
        report = report_of(recording)
    code = emit(request.output, lambda color, width: render(report, request.output.format, color, width))
    if code == 0 and request.output.path is not None and not request.quiet:
        say(f"mlscale: {report.verdict.headline} The report is in {request.output.path}.")
    if report.window.ended == "interrupted" and request.replay is None:
        return INTERRUPTED
    return code or (FAILED_ON if report.verdict.bottleneck in fail_on else 0)


def report_of(recording: Recording) -> Report:
    """Everything after the watch. Pure: a replay gives the same. Raises NothingToWatch where no training was seen."""
    from mlscale.ladder.walk import diagnose
    from mlscale.profile.build import build_profile
    from mlscale.profile.series import series_of
    from mlscale.report.build import build_report

    profile = build_profile(recording)
    if recording.ended == "job exited":
        status = _exit_status(recording)
        if profile.training is None and status != 0:
            raise NothingToWatch(_ended_too_soon(recording, status))
        if status is not None:
            from mlscale.cli.launch import in_words

            ended = f"The job ended by itself with {in_words(status)} after {words.seconds(recording.observed_s)}."
            profile = replace(profile, warnings=(*profile.warnings, ended))
    return build_report(profile, diagnose(profile), _ended_at(recording), series_of(recording, profile))


def _check(request: Request) -> None:
    """Refuses what contradicts itself, and what would cost the user a file."""
    live = {
        "--pid": request.pid is not None,
        "a command": bool(request.command),
        "--record": request.record is not None,
    }
    if request.replay is not None:
        for name, given in live.items():
            if given:
                raise UsageProblem(
                    f"--replay reads a recording, so that {name} has nothing to do. Leave one of them out."
                )
    if request.pid is not None and request.command:
        raise UsageProblem("--pid attaches to a job and a command launches one. Leave one of them out.")
    if request.pid is not None and request.pid <= 0:
        raise UsageProblem(f"--pid {request.pid}: process ids are positive. See `ps -ef | grep python`.")
    if request.keep_running and not request.command:
        raise UsageProblem("--keep-running is for a job that is launched: mlscale diagnose --keep-running -- COMMAND.")
    if request.record is not None:
        _check_record(request.record, request.output.path)


def _check_record(path: Path, output: Path | None) -> None:
    from mlscale.recording import read

    device = path.exists() and not path.is_file()  # two may write to /dev/null
    if output is not None and path.resolve() == output.resolve() and not device:
        raise UsageProblem(f"--record {path}: --output names the same file. Give them different names.")
    if path.is_dir():
        raise UsageProblem(f"--record {path}: that is a folder. Name a file in it.")
    if not path.resolve().parent.is_dir():
        raise UsageProblem(f"--record {path}: there is no folder {path.resolve().parent}. Create it first.")
    if path.is_file() and path.stat().st_size:
        try:
            read(path)
        except UnreadableInput:
            # A slip such as `--record train.py` must not cost a file.
            raise UsageProblem(
                f"--record {path}: this file is no recording, and would be overwritten. Name another file, or remove it."
            ) from None


def _watched(request: Request, duration_s: float, rate_hz: float) -> Recording:
    """Watches the job that was asked for."""
    from mlscale.cli.interrupt import stoppable
    from mlscale.cli.launch import check_command, launched, status_of
    from mlscale.cli.progress import display
    from mlscale.cli.settled import settled
    from mlscale.observe.find import Target, find_job
    from mlscale.observe.watch import watch

    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stoppable())
        if request.command:
            check_command(request.command)
            writer = _open(request.record, stack)
            job = stack.enter_context(launched(request.command, keep_running=request.keep_running))
            target, what = Target(job.pid, "it was launched"), "the job"
        else:
            job = None
            target = find_job(request.pid)
            what = f"process {target.pid}"
            writer = _open(request.record, stack)
            if not request.quiet and request.pid is None:
                say(f"mlscale: found process {target.pid}: {target.why}.")
        shared = job is not None and is_terminal(sys.stderr)
        show = display(what, quiet=request.quiet, shared=shared, no_color=request.output.no_color)
        with show as on_progress:
            recording = watch(
                target,
                duration_s=duration_s,
                rate_hz=rate_hz,
                writer=writer,
                on_progress=on_progress,
                stop=stop,
                enough=settled(),
            )
        if job is not None and recording.ended == "job exited":
            recording = _with_status(recording, status_of(job), writer)
        elif job is not None and request.keep_running:
            say(f"mlscale: the job goes on as process {job.pid}.")
        return recording


def _open(path: Path | None, stack: contextlib.ExitStack) -> RecordingWriter | None:
    from mlscale.recording import RecordingWriter

    if path is None:
        return None
    try:
        return stack.enter_context(RecordingWriter(path))
    except OSError as error:
        raise UsageProblem(f"--record {path}: {error.strerror or error}. Name a file elsewhere.") from None


def _with_status(recording: Recording, status: int | None, writer: RecordingWriter | None) -> Recording:
    """The recording with the job's exit status in it, in memory and on disk, so that a replay knows it too."""
    from mlscale.recording import Fact, line_of

    if status is None:
        return recording
    fact = Fact(recording.observed_s, _EXIT, {"status": status})
    if writer is not None:
        with contextlib.suppress(OSError):  # a full disk costs the replay this line, and nobody the report
            writer.write(line_of(fact))
    return replace(recording, events=(*recording.events, fact))


def _exit_status(recording: Recording) -> int | None:
    from mlscale.recording import Fact

    for event in reversed(recording.events):
        if isinstance(event, Fact) and event.name == _EXIT:
            return int(event.values["status"])
    return None


def _ended_too_soon(recording: Recording, status: int | None) -> str:
    after = f"after {words.seconds(recording.observed_s)}, before any training was seen"
    if status is None:
        return (
            f"Process {recording.header.get('root')} ended {after}. Start the job again, and name it while it trains."
        )
    from mlscale.cli.launch import in_words

    return f"The job ended with {in_words(status)} {after}. Run it by itself first, to see why."


def _ended_at(recording: Recording) -> datetime:
    """When the watch ended, by the clock of the machine that was watched."""
    began = datetime.fromisoformat(str(recording.header["began_at"]))
    return began.astimezone(timezone.utc) + timedelta(seconds=recording.observed_s)


def replayed(path: Path) -> Report:
    """The report of a recording on disk. Raises MlscaleError where it cannot be had."""
    from mlscale.recording import read

    recording = read(path)
    try:
        return report_of(recording)
    except MlscaleError:
        raise
    except Exception as error:
        if os.environ.get("MLSCALE_DEBUG"):
            raise
        # Whatever stands in the file was not written by a watch.
        raise UnreadableInput(
            f"{path}: what it holds cannot be used ({type(error).__name__}: {error}). Record again, or run with "
            "MLSCALE_DEBUG=1 for a traceback."
        ) from None
