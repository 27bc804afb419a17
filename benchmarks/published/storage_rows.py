"""Published loader and store measurements as cases: one measured row, what is known beside it, and what is to be predicted.

What a row can teach is written at each table. Rows that share a `family` are left out of a fit together.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, str]


@dataclass(frozen=True)
class Scaled:
    """The step's own rate is known for both (`ideal_*`); `loader_ratio`: nodes, workers and cores, now over then."""

    table: str
    family: str
    group: str
    what: str
    truth: float
    measured: float
    naive: float
    ideal_then: float
    ideal_now: float
    loader_ratio: float = 1.0


@dataclass(frozen=True)
class Workers:
    """Only the number of workers or threads is known."""

    table: str
    family: str
    group: str
    what: str
    truth: float
    measured: float
    naive: float
    workers_then: float
    workers_now: float


@dataclass(frozen=True)
class Stored:
    """Another encoding on the same store: bytes a sample, and the rate of preparation alone if published (or None)."""

    table: str
    family: str
    group: str
    what: str
    truth: float
    measured: float
    naive: float
    bytes_then: float
    bytes_now: float
    prep_now: float | None


@dataclass(frozen=True)
class Resized:
    """Bytes of a dataset whose images are kept at another largest side."""

    table: str
    family: str
    group: str
    what: str
    truth: float
    measured: float
    naive: float
    side_then: float
    side_now: float
    compressed: bool


@dataclass(frozen=True)
class Remote:
    """Preparation on remote cores too."""

    table: str
    family: str
    group: str
    what: str
    truth: float
    measured: float
    naive: float
    cores_then: float
    cores_now: float


Case = Scaled | Workers | Stored | Resized | Remote


def rows(folder: Path, name: str, *numeric: str) -> list[Row]:
    """The table's rows that have a number above 0 in each of the columns `numeric`; none where there is no such table."""
    path = folder / name
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        told = [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(lines)]
    return [row for row in told if all((number(row.get(column)) or 0.0) > 0 for column in numeric)]


def number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def grouped(found: Iterable[Row], *columns: str) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in found:
        groups[tuple(row.get(column, "") for column in columns)].append(row)
    yield from groups.items()


def mlperf_storage(folder: Path) -> Iterator[Case]:
    """The compute time of a batch is known, so that a row tells how long its accelerators wait. How much of that is the
    store's and how much each accelerator's own, one row cannot tell; nor is the store's limit known. The anchor is the
    first run with the fewest accelerators; each other configuration's median is predicted. Submissions are tuned to pass
    AU >= 90 % or 70 %, so that rows far beyond saturation are not published."""
    table = "mlperf_storage_v1.0_runs.csv"
    needed = ("num_accelerators", "num_hosts", "batch_size", "computation_time_s", "samples_per_s")
    for (submitter, system, workload), found in grouped(
        rows(folder, table, *needed), "submitter", "system", "workload"
    ):
        configurations: dict[tuple[float, float, float, str], list[float]] = defaultdict(list)
        for row in found:
            count, hosts = float(row["num_accelerators"]), float(row["num_hosts"])
            ideal = count * float(row["batch_size"]) / float(row["computation_time_s"])
            configurations[count, ideal, hosts, row["emulated_accelerator"]].append(float(row["samples_per_s"]))
        ordered = sorted(configurations)
        count, ideal, hosts, _ = ordered[0]
        measured = configurations[ordered[0]][0]
        for other in ordered[1:]:
            yield Scaled(
                table,
                submitter,
                f"{submitter} {system} {workload}",
                f"{other[0]:.0f} x {other[3]}, {other[2]:.0f} hosts",
                statistics.median(configurations[other]),
                measured,
                measured * other[1] / ideal,
                ideal,
                other[1],
                # Part of the waiting is each host's, part the store's: half way, for a row cannot tell.
                (other[2] / hosts) ** 0.5,
            )


def tensorflow(folder: Path) -> Iterator[Case]:
    """Synthetic data give the step's own rate at each number of GPUs; real data on the fewest are measured."""
    table = "tf_benchmarks_2017.csv"
    told = rows(folder, table, "images_per_s", "n_nodes", "n_gpus")
    for key, found in grouped(told, "platform", "storage", "model", "batch_per_gpu"):
        ideal: dict[tuple[float, float], float] = {}
        real: dict[tuple[float, float], float] = {}
        for row in found:
            size = (float(row["n_nodes"]), float(row["n_gpus"]))
            (ideal if row["data"] == "synthetic" else real)[size] = float(row["images_per_s"])
        both = sorted(size for size in real if size in ideal)
        for size in both[1:]:
            first = both[0]
            yield Scaled(
                table,
                f"{key[0]} {key[2]}",
                " ".join((key[0], key[2], key[3])),
                f"{size[1]:.0f} GPUs",
                real[size],
                real[first],
                real[first] * size[1] / first[1],
                ideal[first],
                ideal[size],
                size[0] / first[0],
            )


_CORES = re.compile(r"(\d+) cores/(\d+) threads")
HYPERTHREAD_YIELD = 0.25


def loader_sweeps(folder: Path) -> Iterator[Case]:
    """Training with several workers and GPUs: the step's own rate is the best that any other loader reaches with the same
    GPUs. A row with few GPUs is bound by them and tells nothing of the loader, so the anchor is the fewest workers with the
    most GPUs of one node; where workers are not told, the fewest GPUs."""
    table = "loader_worker_sweeps.csv"
    told = rows(folder, table, "images_per_s", "n_nodes", "gpus_per_node")
    ideal: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in told:
        key, loader = (row["model"], row["n_nodes"], row["gpus_per_node"]), row["loader"]
        ideal[key][loader] = max(ideal[key].get(loader, 0.0), float(row["images_per_s"]))
    for (loader, model), found in grouped(told, "loader", "model"):
        cores = _CORES.search(found[0]["cpu"])
        usable = []
        for row in found:
            key = (model, row["n_nodes"], row["gpus_per_node"])
            best = max((rate for name, rate in ideal[key].items() if name != loader), default=None)
            if best is not None and "synthetic" not in loader:
                usable.append((row, best))
        if len(usable) < 2:
            continue
        limit = float("inf") if cores is None else int(cores[1]) + HYPERTHREAD_YIELD * (int(cores[2]) - int(cores[1]))

        def size(pair: tuple[Row, float]) -> tuple[float, float, float]:
            row = pair[0]
            workers = number(row["total_workers_flag_per_node"])
            gpus = float(row["gpus_per_node"])
            return (workers or 0.0, float(row["n_nodes"]), gpus if workers is None else -gpus)

        first, first_ideal = min(usable, key=size)
        workers_then = number(first["total_workers_flag_per_node"])
        for row, best in usable:
            if row is first:
                continue
            nodes = float(row["n_nodes"]) / float(first["n_nodes"])
            workers_now = number(row["total_workers_flag_per_node"])
            more = workers_now / workers_then if workers_now and workers_then else 1.0
            capacity = min(workers_now, limit) / min(workers_then, limit) if workers_now and workers_then else 1.0
            gpus = float(row["gpus_per_node"]) / float(first["gpus_per_node"])
            measured = float(first["images_per_s"])
            yield Scaled(
                table,
                loader,
                f"{loader} {model}",
                f"{workers_now or 0:.0f} workers, {row['n_nodes']} x {row['gpus_per_node']} GPUs",
                float(row["images_per_s"]),
                measured,
                measured * nodes * (more if more != 1 else gpus),
                first_ideal,
                best,
                capacity * nodes,
            )


def iarai(folder: Path) -> Iterator[Case]:
    """Sweeps of workers or threads without training: neither cores nor the store are told. The two tables share rows."""
    seen: set[tuple[float, float]] = set()
    table = "loader_worker_sweeps.csv"
    for (kind,), found in grouped(rows(folder, table, "concurrency", "value"), "concurrency_kind"):
        way, store = ("threads" if kind.startswith("threads") else "workers"), kind.split("/")[-1].strip().lower()
        points = {float(row["concurrency"]): float(row["value"]) for row in found}
        seen.update((now, round(value, 1)) for now, value in points.items())
        yield from _sweep(table, f"iarai {way} {store.split()[-1]}", kind, points)
    table = "iarai_dataloader_s3_vs_scratch.csv"
    told = rows(folder, table, "throughput_Mbit_s")
    for way, varied, fixed in (
        ("workers", "num_workers", "num_fetch_workers"),
        ("threads", "num_fetch_workers", "num_workers"),
    ):
        usable = [row for row in told if number(row[varied]) and (number(row["num_workers"]) or way == "threads")]
        if way == "threads":
            usable = [row for row in usable if number(row["num_workers"]) == 0 and not row["batch_pool"]]
        for key, found in grouped(usable, "dataset", "source", "batch_size", fixed):
            values: dict[float, list[float]] = defaultdict(list)
            for row in found:
                values[float(row[varied])].append(float(row["throughput_Mbit_s"]))
            points = {now: statistics.median(rates) for now, rates in values.items()}
            if all((now, round(rate, 1)) in seen for now, rate in points.items()):
                continue
            yield from _sweep(table, f"iarai {way} {key[0]}", f"{key[0]} {way} batch {key[2]} {fixed} {key[3]}", points)


def _sweep(table: str, family: str, group: str, points: dict[float, float]) -> Iterator[Case]:
    then = min(points)
    for now in sorted(points)[1:]:
        naive = points[then] * now / then
        yield Workers(table, family, group, f"{now:.0f}", points[now], points[then], naive, then, now)


def ffcv(folder: Path) -> Iterator[Case]:
    """Other encodings on the same store: the one with the most bytes an image is measured. RAM rows are bound by decoding
    or memory, each by another: not predicted, but they tell what preparation alone can do. And a dataset's bytes at
    other image sizes, from the smallest."""
    table = "ffcv_loader_aws_p3dn.csv"
    told = rows(folder, table, "bytes_per_image", "images_per_s")
    alone = {
        (row["instance"], row["loader"], row["resolution"], row["encoding"]): float(row["images_per_s"])
        for row in told
        if row["storage"] == "RAM"
    }
    for key, found in grouped((row for row in told if row["storage"] != "RAM"), "instance", "loader", "storage"):
        found.sort(key=lambda row: -float(row["bytes_per_image"]))
        first = found[0]
        measured = float(first["images_per_s"])
        for row in found[1:]:
            yield Stored(
                table,
                f"FFCV {key[2]}",
                " ".join(key),
                f"{row['resolution']} {row['encoding']}",
                float(row["images_per_s"]),
                measured,
                measured,
                float(first["bytes_per_image"]),
                float(row["bytes_per_image"]),
                alone.get((key[0], key[1], row["resolution"], row["encoding"])),
            )
    table = "ffcv_imagenet_dataset_sizes.csv"
    for (encoding,), found in grouped(rows(folder, table, "max_resolution", "dataset_GB"), "encoding"):
        sizes = {float(row["max_resolution"]): float(row["dataset_GB"]) for row in found}
        then, jpeg = min(sizes), encoding.upper().startswith("JPEG")
        for now in sorted(sizes)[1:]:
            naive = sizes[then] * (now / then) ** 2
            yield Resized(
                table, f"FFCV {encoding}", encoding, f"{now:.0f} px", sizes[now], sizes[then], naive, then, now, jpeg
            )


def cedar(folder: Path) -> Iterator[Case]:
    """Preparation on the job's own machine and on a remote one too. Frameworks are not predicted from one another, nor
    the ablation, whose baseline does not say how many cores it uses."""
    table = "cedar_input_pipelines.csv"
    for (pipeline,), found in grouped(rows(folder, table, "Throughput"), "Pipeline"):
        rates = {row["System"]: row for row in found}
        for system, row in rates.items():
            local = rates.get(system.replace("-remote", "-local"))
            if not system.endswith("-remote") or local is None:
                continue
            here, there = re.search(r"(\d+) vCPU", row["local_vm"]), re.search(r"-(\d+)\b", row["remote_vm"])
            if here is None or there is None:
                continue
            then, now = float(here[1]), float(here[1]) + float(there[1])
            measured = float(local["Throughput"])
            truth = float(row["Throughput"])
            yield Remote(
                table, f"cedar {pipeline}", pipeline, system, truth, measured, measured * now / then, then, now
            )


def synergy(folder: Path) -> Iterator[Case]:
    """Low weight, for rows are rounded and shared by models: of each different curve over cores (one GPU, the most memory) a
    single point in the middle, from the fewest cores, the most cores being the step's own rate."""
    table = "synergy_cpu_mem_sensitivity.csv"
    needed = ("cpu_cores_for_job", "mem_GB_for_job", "relative_throughput")
    told = [row for row in rows(folder, table, *needed) if row["n_gpus"] == "1"]
    seen: set[tuple[float, ...]] = set()
    for (model,), found in grouped(told, "model"):
        most = max(float(row["mem_GB_for_job"]) for row in found)
        curve = {
            float(row["cpu_cores_for_job"]): float(row["relative_throughput"])
            for row in found
            if float(row["mem_GB_for_job"]) == most
        }
        cores = sorted(curve)
        shape = tuple(curve[count] for count in cores)
        if len(cores) < 3 or shape in seen or min(shape) == max(shape):
            continue
        seen.add(shape)
        middle = min(cores[1:-1], key=lambda count: abs(count - (cores[0] * cores[-1]) ** 0.5))
        ratio = middle / cores[0]
        first, ideal = curve[cores[0]], max(shape)
        yield Scaled(
            table,
            f"synergy {model}",
            model,
            f"{middle:.0f} cores",
            curve[middle],
            first,
            first * ratio,
            ideal,
            ideal,
            ratio,
        )


TABLES = (mlperf_storage, tensorflow, loader_sweeps, iarai, ffcv, cedar, synergy)


def cases(folder: Path) -> list[Case]:
    return [case for table in TABLES for case in table(folder)]
