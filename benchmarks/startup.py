"""How long `mlscale --help` takes, over `python -c "import typer"`: the floor of any program that uses typer.

Run: python benchmarks/startup.py [--rounds 20] [--json]
Both commands run in turn, in one run, so that whatever else the machine does falls on both. Prints the ratio of the
medians, with the range that holds 90% of the medians of resampled rounds; the aim is at most 1.5.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time

AIM = 1.5
COMMANDS = {
    "import typer": [sys.executable, "-c", "import typer"],
    "mlscale --help": [sys.executable, "-m", "mlscale", "--help"],
    "mlscale diagnose --help": [sys.executable, "-m", "mlscale", "diagnose", "--help"],
    "mlscale --version": [sys.executable, "-m", "mlscale", "--version"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for command in COMMANDS.values():
        seconds(command)  # compiles what is not compiled yet, and fills the page cache
    for _ in range(rounds):
        for name in random.sample(list(COMMANDS), len(COMMANDS)):
            taken[name].append(seconds(COMMANDS[name]))
    return taken


def ratio(taken: list[float], base: list[float]) -> tuple[float, float, float]:
    """Of the medians; with the 5th and 95th percentile over resampled rounds."""
    draws = []
    for _ in range(1000):
        rounds = random.choices(range(len(base)), k=len(base))
        draws.append(statistics.median(taken[i] for i in rounds) / statistics.median(base[i] for i in rounds))
    draws.sort()
    return statistics.median(taken) / statistics.median(base), draws[50], draws[949]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    taken = measure(options.rounds)
    base = taken["import typer"]
    found = {}
    for name, times in taken.items():
        value, low, high = ratio(times, base)
        found[name] = {"ratio": round(value, 3), "low": round(low, 3), "high": round(high, 3),
                       "median_s": round(statistics.median(times), 4)}  # fmt: skip
    if options.json:
        print(json.dumps({"rounds": options.rounds, "aim": AIM, "commands": found}, indent=2))
        return
    for name, row in found.items():
        print(
            f"{name:24} {row['median_s'] * 1000:6.0f} ms   {row['ratio']:.2f}x ({row['low']:.2f} to {row['high']:.2f})"
        )
    met = found["mlscale --help"]["ratio"] <= AIM
    print(f"mlscale --help over import typer: the aim of {AIM}x is {'met' if met else 'MISSED'}.")


if __name__ == "__main__":
    main()
