"""`mlscale probe`: what the store, the loader or the step can each do alone."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mlscale.cli import options
from mlscale.cli.output import Output, emit, say
from mlscale.errors import UnreadableInput, UsageProblem
from mlscale.probe.result import GpuSeen
from mlscale.report import words
from mlscale.report.formats import render
from mlscale.report.probe import Probe
from mlscale.report.report import Cpus, Host

INTERRUPTED = 130
MOST_READERS = 256  # more than any store needs; a slip of the keyboard must not start thousands
MOST_WORKERS = 256
_LOOK_S = 0.25  # between looks at the GPU, and for Ctrl-C
_LAST_WORDS_S = 2.0  # for a child whose pipe is shut to end


@dataclass(frozen=True)
class CodeRequest:
    """`probe loader` and `probe step`. `kind`: which of them."""

    kind: str
    target: str
    duration: str
    workers: tuple[str, ...]
    batch_size: int | None
    python: str | None
    output: Output
    quiet: bool


def run_storage(path: str, duration: str, readers: Sequence[str], cached: bool, output: Output, quiet: bool) -> int:
    """Reads the files, and reports. Gives the exit code; raises MlscaleError."""
    from mlscale.cli.interrupt import stoppable
    from mlscale.probe.store import READERS, probe_store
    from mlscale.report.build_probe_store import probe_of_store

    seconds = options.duration(duration)
    counts = tuple(sorted(_counts("--readers", readers, 1, MOST_READERS))) or READERS

    def on_trial(count: int) -> None:
        if not quiet:
            say(f"mlscale: reading {path} with {words.count(count, 'reader')}")

    with stoppable() as stop:
        found = probe_store(path, duration_s=seconds, readers=counts, drop=not cached, stop=stop, on_trial=on_trial)
        if not found.trials:
            return _nothing_yet()
    host, limit_cores = _host()
    return _show(probe_of_store(found, host, limit_cores, datetime.now(timezone.utc)), output, quiet)


def run_code(request: CodeRequest) -> int:
    """Runs the loader or step in a process of its own, and reports. Gives the exit code; raises MlscaleError."""
    from mlscale.cli.interrupt import stoppable
    from mlscale.probe.said import found_in
    from mlscale.report.build_probe_code import probe_of_loader, probe_of_step

    seconds = options.duration(request.duration)
    if ":" not in request.target.strip(":"):
        raise UsageProblem(f"{request.target}: name it as MODULE:NAME or FILE.py:NAME, such as train:{request.kind}.")
    spec = {
        "kind": request.kind,
        "target": request.target,
        "seconds": seconds,
        "workers": _counts("--workers", request.workers, 0, MOST_WORKERS),
        "batch_size": request.batch_size,
    }
    with stoppable() as stop:
        events, gpu, ended = _measured(spec, _python(request.python), stop, request.quiet)
    if ended == "interrupted" and not any(event.get("event") == "part" for event in events):
        return _nothing_yet()
    found = found_in(request.kind, request.target, events, ended)
    host, limit_cores = _host()
    now = datetime.now(timezone.utc)
    if request.kind == "loader":
        return _show(probe_of_loader(found, host, limit_cores, now), request.output, request.quiet)
    if found.step is not None:
        found = replace(found, step=replace(found.step, gpu=gpu))
    return _show(probe_of_step(found, host, now), request.output, request.quiet)


def _nothing_yet() -> int:
    say("mlscale: interrupted before anything was measured.")
    return INTERRUPTED


def _show(probe: Probe, output: Output, quiet: bool) -> int:
    if probe.ended == "interrupted" and not quiet:
        say("mlscale: interrupted; this is what was measured until then.")
    code = emit(output, lambda color, width: render(probe, output.format, color, width))
    return INTERRUPTED if probe.ended == "interrupted" else code


def _counts(option: str, texts: Sequence[str], least: int, most: int) -> list[int]:
    """The numbers of an option that is repeated, or a list with commas, each once."""
    found = []
    for text in texts:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise UsageProblem(f"{option} {text}: numbers from {least} to {most}, such as {least},2,4.")
        found.append(int(text))
    return list(dict.fromkeys(found))


def _python(name: str | None) -> str:
    """The interpreter of the job: the one that was named, the environment's, or our own."""
    if name is not None:
        found = shutil.which(name)
        if found is None:
            raise UsageProblem(
                f"--python {name}: no such program. Name the interpreter of the job, such as .venv/bin/python."
            )
        return found
    environment = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    active = Path(environment, "bin", "python") if environment else None
    return str(active) if active is not None and os.access(active, os.X_OK) else sys.executable


def _measured(
    spec: dict[str, Any], python: str, stop: Callable[[], bool], quiet: bool
) -> tuple[list[dict[str, Any]], GpuSeen | None, str]:
    """The child's events, the GPU that it held while it was measured, and how it ended."""
    from mlscale.cli.launch import in_words, launched, status_of
    from mlscale.observe.gpu import Gpus
    from mlscale.observe.proc import tree_of
    from mlscale.probe import child
    from mlscale.probe.said import event_of

    events: list[dict[str, Any]] = []
    fact: dict[str, Any] = {}
    looks: list[dict[str, Any]] = []

    def result(ended: str) -> tuple[list[dict[str, Any]], GpuSeen | None, str]:
        return events, _gpu_seen(fact, looks), ended

    with contextlib.ExitStack() as stack:
        receiving, sending = os.pipe()
        pipe = stack.enter_context(os.fdopen(receiving, "rb", buffering=0))
        gpus = stack.enter_context(contextlib.closing(Gpus()))
        try:
            command = [python, str(child.__file__), json.dumps({**spec, "out": sending})]
            job = stack.enter_context(launched(command, keep_running=False, pass_fds=(sending,)))
        finally:
            os.close(sending)
        for line in _lines(pipe, job, stop):
            event = {} if line is None else event_of(line)
            if line is None and any(seen["event"] == "warm" for seen in events):
                held = [index for index, pids in gpus.holders().items() if pids & set(tree_of(job.pid))]
                looks += [gpus.sample(index) for index in held]
                if held and not fact:
                    fact = gpus.facts()[held[0]]
            if "event" in event:
                events.append(event)
                if not quiet:
                    _tell(event, spec)
            if event.get("event") in ("end", "error"):
                return result("duration")
        if stop():
            return result("interrupted")
        status = status_of(job, _LAST_WORDS_S)
        how = "shut its results" if status is None else f"ended with {in_words(status)}"
        if not any(event["event"] == "part" for event in events):
            raise UnreadableInput(f"{spec['target']}: its process {how} before anything was measured.")
        events.append({"event": "error", "says": f"its process {how}"})
        return result("failed")


def _gpu_seen(fact: dict[str, Any], looks: Sequence[dict[str, Any]]) -> GpuSeen | None:
    if not fact:
        return None
    busy = tuple(look["busy"] for look in looks if "busy" in look)
    used = [look["memory_used_bytes"] for look in looks if "memory_used_bytes" in look]
    return GpuSeen(str(fact["name"]), fact.get("memory_bytes"), busy, max(used, default=None))


def _lines(pipe: Any, job: subprocess.Popen[bytes], stop: Callable[[], bool]) -> Iterator[bytes | None]:
    """The lines that come, and None now and then. Ends with the pipe, with the job, or where the user asks to stop."""
    kept = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not stop():
            if selector.select(_LOOK_S):
                data = pipe.read(1 << 16)
                if not data:
                    return
                *whole, kept = (kept + data).split(b"\n")
                yield from whole
            else:
                # Workers of a child that died hold its end of the pipe open.
                if job.poll() is not None:
                    return
                yield None


def _tell(event: dict[str, Any], spec: dict[str, Any]) -> None:
    """Progress: a line where a trial begins, and where its first batch or step has come."""
    if event["event"] == "trial":
        with_workers = "" if event["workers"] is None else f" with num_workers={event['workers']}"
        say(f"mlscale: iterating {spec['target']}{with_workers}")
    elif event["event"] == "warm":
        say(f"mlscale: calling {spec['target']}: {words.count(event['calls'], 'step')} to warm up are done")


def _host() -> tuple[Host, float]:
    """This machine, and how many cores a job may use here."""
    from mlscale.observe import machine, proc
    from mlscale.observe.limits import read_limits

    pid = os.getpid()
    limits = read_limits(pid)
    host = Host(
        hostname=socket.gethostname(),
        cpus=Cpus(machine.logical_cpus(), limits.quota_cores),
        memory_bytes=machine.memory_bytes().get("MemTotal", 0),
        instance_type=machine.instance_type(),
        container=limits.container,
    )
    allowed = float(len(proc.affinity(pid)) or machine.logical_cpus())
    return host, min(allowed, limits.quota_cores or allowed)
