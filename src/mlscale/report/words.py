"""How figures and names read in a report for people. Shared by the renderers, so that they all say the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from mlscale.measure import Measurement
from mlscale.model.speedup import SpeedUp

# Wording only: no decision rests on these.
_CONFIDENCE = ((0.9, "high"), (0.7, "good"), (0.5, "moderate"), (0.0, "low"))

LABELS = {
    "throughput": "Throughput",
    "step_rate": "Steps",
    "gpu_busy_fraction": "GPU busy",
    "data_wait_fraction": "Training waits for data",
    "host_busy_fraction": "Other host work",
    "worker_busy_fraction": "Workers busy",
    "worker_cpu_fraction": "Workers compute",
    "worker_io_wait_fraction": "Workers wait for the store",
    "cpu_used_cores": "CPU used",
    "cpu_limit_cores": "CPU allowed",
    "storage_read_bytes_per_s": "Read from the store",
    "storage_reads_per_s": "Reads from the store",
    "page_cache_hit_fraction": "Page cache hits",
    "prep_cpu_seconds_per_sample": "Preparation per sample",
    "gpu_seconds_per_sample": "Step per sample",
    "gpu_memory_used_bytes": "GPU memory used",
    "gpu_memory_busy_fraction": "GPU memory busy",
    "gpu_power_fraction": "GPU power",
    "pcie_bytes_per_s": "PCIe traffic",
    "store_bytes_per_s": "The store gives",
    "store_reads_per_s": "Reads",
    "store_read_s": "A read takes",
    "store_readers": "Readers that are enough",
    "loader_workers": "Loader workers",
    "page_cache_bytes_per_s": "From the page cache",
    "batch_rate": "Batches",
    "first_batch_s": "First batch after",
    "step_s": "A step takes",
}

STATUS_MEANS = {
    "climb": "the next step",
    "clear": "checked, not the limit",
    "blocked": "would be the step, cannot work here",
    "later": "a lower rung comes first",
    "unknown": "could not be measured",
}

# How a thread's time divides: (field, what it means), in the order in which it is told; the training thread's data first.
DATA = "waits for data"
RECEIVE = "takes batches over"
INLINE_DATA = "loads data itself"  # what "data" is where there are no workers
TRAINING_PARTS = (
    ("step", "training step"),
    ("host", "other host work"),
    ("save", "saving"),
    ("communication", "other ranks"),
)
WORKER_PARTS = (
    ("compute", "computing"),
    ("io_wait", "waits for the store"),
    ("run_queue", "waits for a core"),
    ("gil_wait", "waits for the GIL"),
    ("hand_over", "hands over"),
    ("idle", "idle (queue full)"),
    ("other", "other"),
)

_NOT_MEASURED = "Not measured: "

ENDED = {
    "stable": "the answer was stable",
    "duration": "the time was up",
    "job exited": "the job ended",
    "interrupted": "it was interrupted",
    "recording ends": "the recording ends there",
}


def label(name: str) -> str:
    """A measurement's name for people; the name itself where it is a new one."""
    return LABELS.get(name, name.replace("_", " "))


def confidence(value: float) -> str:
    """Confidence in words and per cent: "high confidence (92%)"."""
    word = next(word for least, word in _CONFIDENCE if value >= least)
    return f"{word} confidence ({value:.0%})"


def count(number: int, noun: str) -> str:
    """A number of things: "1 worker", "2 workers"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def not_measured(names: Iterable[str], reason: str) -> str:
    """The warning that names absent measurements; `split_warnings` takes it apart again."""
    return f"{_NOT_MEASURED}{', '.join(names)} ({reason})."


def split_warnings(warnings: Iterable[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The absent measurements as (names for people, reason), and all other warnings."""
    missing: list[tuple[str, str]] = []
    notes: list[str] = []
    for warning in warnings:
        names, bracket, reason = warning.removeprefix(_NOT_MEASURED).partition(" (")
        if warning.startswith(_NOT_MEASURED) and bracket:
            shown = [label(name) for name in names.split(", ")]
            missing.append((", ".join([shown[0], *map(lower_first, shown[1:])]), reason.removesuffix(").")))
        else:
            notes.append(warning)
    return missing, notes


def lower_first(text: str) -> str:
    """`text` as it reads inside a sentence; abbreviations (GPU, PCIe) stay."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def quantity(value: float, unit: str) -> str:
    """A figure with its unit, to three digits: "58%", "25.1 MB/s", "4.2 ms"."""
    if unit in ("fraction", "share", "ratio"):
        return percent(value)
    if unit in ("bytes", "bytes/s", "B", "B/s"):
        scaled, prefix = _scaled(value, 1000.0, ("", "k", "M", "G", "T", "P"))
        return f"{_digits(scaled)} {prefix}B{'/s' if unit.endswith('/s') else ''}"
    if unit in ("s", "seconds") or unit.startswith("s/"):
        rest = unit[1:] if unit.startswith("s/") else ""
        if value != 0 and abs(value) < 1:
            scaled, prefix = _scaled(value * 1e6, 1000.0, ("µ", "m"))
            return f"{_digits(scaled)} {prefix}s{rest}"
        return f"{_digits(value)} s{rest}"
    if unit in ("1/s", "count", "", "1"):
        return f"{_digits(value)}{'/s' if unit == '1/s' else ''}"
    if unit == "×":
        return f"{value:.2f}×"
    return f"{_digits(value)} {unit}"


def figure(measurement: Measurement) -> str:
    """A measurement without its interval: "431 samples/s"."""
    return quantity(measurement.value, measurement.unit)


def interval(measurement: Measurement) -> str:
    """Its 90% interval, without the unit where the figure says it: "425 – 437"; "" where it is exact."""
    text = figure(measurement)
    low, high = quantity(measurement.low, measurement.unit), quantity(measurement.high, measurement.unit)
    if low == high == text:
        return ""
    # Where an end carries another prefix than the figure, both ends keep theirs.
    tail = text.lstrip("-0123456789.<")
    if tail and low.endswith(tail) and high.endswith(tail):
        low, high = low[: -len(tail)], high[: -len(tail)]
    return f"{low} – {high}"


def percent(fraction: float) -> str:
    """A fraction in per cent; small ones keep a digit, so that 0.4% is not taken for nothing."""
    if 0 < abs(fraction) < 0.0095:
        return "<0.1%" if abs(fraction) < 0.0005 else f"{fraction:.1%}"
    return f"{fraction:.0%}"


def speedup(promise: SpeedUp) -> str:
    """A promised speed-up with its interval: "2.10× (90% interval 1.90 – 2.30×)"."""
    return f"{promise.value:.2f}× (90% interval {promise.low:.2f} – {promise.high:.2f}×)"


def seconds(value: float) -> str:
    """A length of time: "42 s", "3 min 20 s"."""
    if value < 10:
        return f"{_digits(value)} s"
    if round(value) < 120:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def short_path(path: str) -> str:
    """The end of a path, by which people know it: ".../PIL/Image.py"."""
    parts = path.split("/")
    return path if len(parts) <= 3 else ".../" + "/".join(parts[-2:])


def _digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1g}"
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _scaled(value: float, step: float, prefixes: tuple[str, ...]) -> tuple[float, str]:
    place = 0
    while abs(value) >= step * 0.9995 and place < len(prefixes) - 1:
        value, place = value / step, place + 1
    return value, prefixes[place]


def timestamp(moment: datetime) -> str:
    """An aware moment in UTC, RFC 3339, to the second."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def usd(value: float) -> str:
    """US dollars: "$0.42", "$12.30", "$1,234"."""
    if abs(value) >= 99.995:
        return f"${value:,.0f}"
    return f"${value:.2f}"


def hours(value: float) -> str:
    """A length of time that is told in hours: "35 min", "5.2 h", "3.1 days"."""
    if value < 0.9917:  # 59.5 min
        return f"{value * 60:.2g} min" if value * 60 < 9.95 else f"{value * 60:.0f} min"
    if value < 99.5:
        return f"{value:.3g} h"
    return f"{value / 24:.3g} days"
