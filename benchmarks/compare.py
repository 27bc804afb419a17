"""mlscale beside the tools that a user would otherwise reach for, on the same training loop with the same faults.

    python benchmarks/compare.py PEERS_PYTHON [--cases NAME,...] [--tools NAME,...] [--keep FILE.jsonl] [--tables FILE.jsonl]

PEERS_PYTHON is the Python of an environment of their own, so that they and mlscale do not mix:
`python3 -m venv /tmp/peers && /tmp/peers/bin/pip install traceml-ai "gpuprof[host]" datapath-doctor fournex loadtune torch`
Needs root and fuse; some twenty minutes. A tool that is not there is said to be missing.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from benchmarks.needs import check_needs
from tests.faults import inject
from tests.running import ROOT, environment
from tests.virtual_nvml.gpu import build_driver, make_state

TOOLS = ("traceml", "gpuprof", "datapath", "fournex", "loadtune", "torch_profiler", "ds_analyzer")
SECONDS = 10
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A fault, what it is, and the loop's options."""

    name: str
    cause: str
    options: tuple[str, ...]
    fault: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext


def cases(scratch: Path) -> list[Case]:
    """The cases, with their data under `scratch`."""
    files, big, mount = scratch / "files", scratch / "big", scratch / "mount"
    for folder, size in ((files, 20_000), (big, 1 << 20)):
        folder.mkdir(exist_ok=True)
        for number in range(64):
            (folder / f"{number:03}.bin").write_bytes(bytes(range(256)) * (size // 256))

    @contextlib.contextmanager
    def throttled() -> Iterator[list[str]]:
        with inject.cold(sorted(big.iterdir())), inject.throttled_reads(big, 25_000_000) as prefix:
            yield prefix

    def at(folder: Path, *options: str) -> tuple[str, ...]:
        return ("--data", str(folder), *options)

    return [
        Case("one worker, a core free", "loader_workers", at(files, "--workers", "1", "--cpu-ms", "4")),
        Case("both cores used up", "preprocessing", at(files, "--cpu-ms", "8")),
        Case("throttled disk", "storage", at(big, "--step-ms", "60"), throttled),
        Case("mount, 8 ms late", "loader_workers", at(mount), lambda: inject.slow_mount(files, mount, 8)),
        Case("host work of 60 ms", "host", at(files, "--host-ms", "60")),
        Case("saves of 1 s", "checkpoint", at(files, "--save-ms", "1000")),
        Case("healthy", "gpu", at(files)),
    ]


def command_of(python: str, tool: str, options: Sequence[str], scratch: Path) -> list[str]:
    """How a tool's run is started."""
    if tool == "traceml":
        script, logs = ROOT / "benchmarks/peers/with_traceml.py", scratch / f"traceml{time.monotonic_ns()}"
        traceml = [
            str(Path(python).with_name("traceml")),
            "run",
            "--mode",
            "summary",
            "--logs-dir",
            str(logs),
        ]
        return [*traceml, str(script), "--args", *options]
    return [python, "-m", f"benchmarks.peers.with_{tool}", *options]


def run(python: str, tool: str, case: Case, prefix: Sequence[str], scratch: Path, gpu: dict[str, str]) -> Result:
    """One tool on one case."""
    options = [*case.options, "--seconds", str(SECONDS)]
    began = time.monotonic()
    done = subprocess.run(
        [*prefix, *command_of(python, tool, options, scratch)],
        env=environment(**gpu),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=scratch,
    )
    took, peer = time.monotonic() - began, importlib.import_module(f"benchmarks.peers.with_{tool}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("PEER ")]
    told = (
        json.loads(lines[-1][5:]) if lines else {"said": f"failed: {done.stderr.strip()[-200:]}", "samples_per_s": None}
    )
    said = told["said"] or " · ".join(
        " ".join(found.split()) for found in re.findall(peer.SHOWN, done.stdout + done.stderr) if found
    )
    return {"said": said, "samples_per_s": told["samples_per_s"], "took_s": took, "names": named(said, peer.NAMES)}


def named(said: str, names: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """The verdicts that a tool's words stand for: those of the first pattern that is found."""
    for pattern, verdicts in names:
        if re.search(pattern, said, re.I):
            return list(verdicts)
    return []


def meant(row: Result) -> list[str]:
    """What a tool's words stand for, by the patterns of now."""
    return named(row["said"], importlib.import_module(f"benchmarks.peers.with_{row['tool']}").NAMES)


def watched(python: str, case: Case, prefix: Sequence[str], scratch: Path, gpu: dict[str, str]) -> Result:
    """mlscale attached to the loop as it is; and how fast the loop is alone, from its own log."""
    log = scratch / f"log{time.monotonic_ns()}"
    command = [python, "-m", "benchmarks.peers.without", *case.options, "--seconds", "600", "--log", str(log)]
    loop = subprocess.Popen([*prefix, *command], env=environment(**gpu), cwd=scratch, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while rate(log, 0)[1] < 15 and time.monotonic() < deadline:
            time.sleep(0.2)
        alone_from = time.monotonic()
        time.sleep(SECONDS)
        began = time.monotonic()
        diagnose = [sys.executable, "-m", "mlscale", "diagnose", "--pid", str(loop.pid), "-f", "json", "--quiet"]
        done = subprocess.run(diagnose, env=environment(**gpu), capture_output=True, text=True, check=True, timeout=120)
        took = time.monotonic() - began
        report = json.loads(done.stdout)
        verdict = report["verdict"]["bottleneck"]
        said = " · ".join([report["verdict"]["headline"], *report["next_step"]["actions"][:1]])
        return {
            "said": said,
            "samples_per_s": rate(log, began)[0],
            "alone_samples_per_s": rate(log, alone_from, began)[0],
            "took_s": took,
            "names": [verdict],
        }
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(loop.pid, signal.SIGKILL)
        loop.wait()


def rate(log: Path, start: float, end: float = float("inf")) -> tuple[float, int]:
    """The loop's own samples/s between two times, and its steps so far."""
    rows = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")] if log.exists() else []
    inside = [row for row in rows if start <= row["t"] <= end]
    if len(inside) < 2:
        return 0.0, len(rows)
    return (inside[-1]["samples"] - inside[0]["samples"]) / (inside[-1]["t"] - inside[0]["t"]), len(rows)


def judged(result: Result) -> str:
    """What a tool's words are worth."""
    if not result["names"]:
        return "nothing"
    if result["cause"] not in result["names"]:
        return "wrong"
    return "right" if len(result["names"]) == 1 else "not told apart"


def tables(results: Sequence[Result]) -> str:
    """Case by tool; then each tool's own words; then what it costs."""
    found = {(result["case"], result["tool"]): result for result in results}
    names = list(dict.fromkeys(result["case"] for result in results))
    tools = list(dict.fromkeys(result["tool"] for result in results))
    lines = ["| fault | " + " | ".join(tools) + " |", "|---|" + "---|" * len(tools)]
    for name in names:
        cells = [judged(found[name, tool]) if (name, tool) in found else "–" for tool in tools]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| tool | the job is changed | right | until it speaks | job slower by | for example |",
        "|---|---|---|---|---|---|",
    ]
    by_tool: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_tool[result["tool"]].append(result)
    for tool, rows in by_tool.items():
        change = "no" if tool == "mlscale" else importlib.import_module(f"benchmarks.peers.with_{tool}").CHANGE
        right = sum(judged(row) == "right" for row in rows)
        took = sorted(row["took_s"] for row in rows)[len(rows) // 2]
        slower = sorted(
            1 - row["samples_per_s"] / alone
            for row in rows
            if row["samples_per_s"] and (alone := found[row["case"], "mlscale"]["alone_samples_per_s"])
        )
        cost = (
            f"{slower[len(slower) // 2]:+.1%}"
            if slower and tool not in ("loadtune", "ds_analyzer")
            else "runs of its own"
        )
        said = next((row["said"] for row in rows if row["case"] == names[0]), "").replace("|", "/")
        lines.append(f"| {tool} | {change} | {right} of {len(rows)} | {took:.0f} s | {cost} | {said[:160]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="?")
    parser.add_argument("--cases", default="")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tables", type=Path)
    options = parser.parse_args()
    end_with_its_jobs()
    if options.tables:
        rows = [json.loads(line) for line in options.tables.read_text().splitlines()]
        print(tables([row if row["tool"] == "mlscale" else {**row, "names": meant(row)} for row in rows]))
        return
    check_needs(parser)
    if not options.python or not shutil.which(options.python):
        parser.error("PEERS_PYTHON is missing: the Python of the environment in which the tools are installed")
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-compare-"))
    driver = build_driver(scratch)
    results: list[Result] = []
    for case in cases(scratch):
        if options.cases and case.name not in options.cases.split(","):
            continue
        gpu = {
            "VIRTUAL_NVML_STATE": str(make_state(scratch / f"gpu{time.monotonic_ns()}")),
            "LD_LIBRARY_PATH": str(driver),
        }
        with case.fault() as given:
            prefix = given if isinstance(given, list) else []
            for tool in ("mlscale", *filter(None, options.tools.split(","))):
                if tool == "mlscale":
                    result = watched(options.python, case, prefix, scratch, gpu)
                else:
                    result = run(options.python, tool, case, prefix, scratch, gpu)
                results.append({"case": case.name, "cause": case.cause, "tool": tool, **result})
                print(
                    f"{case.name}, {tool}: {judged(results[-1])}: {result['said'][:300]}", file=sys.stderr, flush=True
                )
                if options.keep:
                    with options.keep.open("a") as file:
                        file.write(json.dumps(results[-1]) + "\n")
    print(tables(results))


if __name__ == "__main__":
    main()
