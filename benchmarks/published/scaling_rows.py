"""Published scaling tables as pairs of runs of one job on fewer and on more GPUs. One small reader for each table.

A reader takes a folder laid out as `shared/validation` and gives pairs; a missing table gives none. The base of a pair is
the one measured row that a prediction may use; the other row is the truth.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.published.scaling_models import known_model

Row = dict[str, str]


@dataclass(frozen=True)
class Run:
    """One measured run. `samples_per_s` of the whole job; `batch` per GPU and micro-step, None where no row tells it."""

    gpus: int
    nodes: int
    samples_per_s: float
    batch: float | None = None
    accumulation: float = 1.0


@dataclass(frozen=True)
class Pair:
    """A job measured at `base`, to be predicted at `goal`. `site` names the cluster or system that was measured on;
    `fabric` is what its GPUs talk over inside a node, `network` what its nodes talk over (docs/model-exchange.md)."""

    table: str
    group: str
    what: str
    base: Run
    goal: Run
    site: str
    fabric: str
    network: str
    network_bytes_per_s: float
    gradient_parameters: float
    known: bool
    units_per_sample: float
    domain: str
    framework: str
    precision: str
    sharded: bool = False
    step_known: bool = True  # False: the table tells only ratios of speed

    @property
    def class_name(self) -> str:
        """`node_scaling` where one node holds both runs, else `multi_node`."""
        return "node_scaling" if self.goal.nodes == 1 else "multi_node"


def read(folder: Path, name: str) -> list[Row]:
    path = folder / name
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str | None) -> float | None:
    """The first number in a cell ("4k" is 4096), None without one."""
    found = re.search(r"([\d.,]*\d)\s*([kK]?)", text or "")
    if not found:
        return None
    return float(found[1].replace(",", "")) * (1024 if found[2] else 1)


def precision_of(text: str) -> str:
    text = text.lower()
    for name in ("fp8", "bf16", "tf32"):
        if name in text:
            return name
    return "fp16" if re.search("fp16|amp|half|mixed", text) else "fp32"


_GPUS = (  # what a GPU's name says about the link inside its node
    (r"b200|blackwell|b300|gb200", "B200"),
    (r"h200", "H200"),
    (r"h100.*pcie", "pcie5"),
    (r"h100|h800|gh200", "H100"),
    (r"a100.*pcie", "pcie4"),
    (r"a100|a800", "A100"),
    (r"v100.*pcie", "pcie3"),
    (r"v100", "nvlink2"),
    (r"p100", "nvlink1"),
    (r"l40s", "L40S"),
    (r"rtx.?pro|4090|ada", "pcie4"),
    (r"a40\b|a6000|a5000|a5500|a4500|a4000|3090|3080|3070|a10|a30", "pcie4"),
    (r"nvlink", "nvlink1"),
    (r"gaudi|tpu", "other"),
)


def fabric_of(gpu: str) -> str:
    text = gpu.lower().replace("_", " ")
    return next((fabric for pattern, fabric in _GPUS if re.search(pattern, text)), "pcie3")


def against_smallest(
    runs: Iterable[tuple[Run, str]], within: Callable[[Run], bool] = lambda _: True
) -> list[tuple[Run, Run, str]]:
    """Each run beside the one measured run: of the fewest GPUs (the middle one by speed where there are several)."""
    runs = list(runs)
    bases = [run for run, _ in runs if within(run)]
    if not bases:
        return []
    fewest = min(run.gpus for run in bases)
    bases = sorted((run for run in bases if run.gpus == fewest), key=lambda run: run.samples_per_s)
    base = bases[len(bases) // 2]
    return [(base, run, what) for run, what in runs if run.gpus > base.gpus]


def lambda_rows(folder: Path) -> list[Pair]:
    """Lambda's benchmark: the same docker images on 1 to 16 GPUs of many systems. Rows with a caution are left out."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    gpus: dict[tuple[str, ...], str] = {}
    for row in read(folder, "lambda_summary.csv"):
        if row["caution"] or not number(row["throughput_median"]):
            continue
        key = (row["family"], row["suite"], row["task"], row["precision"], row["batch_per_gpu"])
        run = Run(int(row["n_gpu"]), 1, float(row["throughput_median"]), number(row["batch_per_gpu"]))
        series[key].append((run, row["system"]))
        gpus[key] = max(gpus.get(key, ""), f"{row['gpu_name']} {row['family']}", key=len)
    found = {key: against_smallest(runs, lambda run: run.gpus == 1) for key, runs in series.items()}
    pairs = []
    for key, beside in found.items():
        family, _, task, precision, _ = key
        if _per_rank([pair for other, pairs in found.items() if other[1:3] == key[1:3] for pair in pairs]):
            continue
        model = known_model(task)
        for base, goal, what in beside:
            pairs.append(
                Pair(
                    "lambda_summary", f"lambda/{task}", f"{what} {task} {precision} x{goal.gpus}", base, goal,
                    f"lambda/{family}", fabric_of(gpus[key]), "none", 0.0, model.parameters, model.known,
                    model.units_per_sample, model.domain, "pytorch", precision_of(precision),
                )
            )  # fmt: skip
    return pairs


def _per_rank(pairs: Sequence[tuple[Run, Run, str]]) -> bool:
    """Whether a task's logs count one rank's samples only, as the caution on some of its rows says: on half of all systems
    any number of GPUs is within 5 % of one."""
    gains = sorted(goal.samples_per_s / base.samples_per_s for base, goal, _ in pairs)
    return bool(gains) and abs(gains[len(gains) // 2] - 1) < 0.05


_FULL_NODE = {"aws": 4, "rtx": 8, "dgx": 8, "quad": 4}
_POLLUX_NETWORK = {"aws": ("tcp", 6.25e9), "rtx": ("rdma", 6.25e9), "dgx": ("rdma", 200e9), "azure": ("rdma", 12.5e9)}


def pollux_rows(folder: Path) -> list[Pair]:
    """Pollux and Sia: data-parallel steps at many batch sizes. Inside a node against one GPU; several full nodes against
    one full node. Uneven placements and rows with a caution are left out."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    seen = set()
    facts: dict[str, str] = {}
    for row in read(folder, "pollux_sia_step_times.csv"):
        tag, nodes, gpus, batch = row["cluster_tag"], int(row["n_nodes"]), int(row["n_gpus"]), float(row["local_bsz"])
        full = _FULL_NODE.get(tag, 8)
        if row["caution"] or (nodes > 1 and gpus != nodes * full):
            continue
        run = Run(gpus, nodes, batch * gpus / float(row["step_time_s"]), batch)
        if (tag, row["model"], run) not in seen:  # some rows are in two of its files
            seen.add((tag, row["model"], run))
            series[tag, row["model"], row["local_bsz"]].append(
                (run, f"{tag} {row['model']} b{batch:g} {nodes}x{gpus // nodes}")
            )
        facts[tag] = row["gpu"]
    pairs = []
    for (tag, name, _), runs in series.items():
        model = known_model(name, counts_samples=True)
        parameters = {"ncf": 1.6e6, "bert": 110e6}.get(name, model.parameters)
        network, rate = _POLLUX_NETWORK.get(tag, ("rdma", 12.5e9))
        inside = [(run, what) for run, what in runs if run.nodes == 1]
        full = [(run, what) for run, what in runs if run.nodes > 1 or run.gpus == _FULL_NODE.get(tag, 8)]
        found = against_smallest(inside, lambda run: run.gpus == 1) + against_smallest(full, lambda run: run.nodes == 1)
        for base, goal, what in found:
            fabric = "nvlink2" if tag == "azure" else fabric_of(facts[tag])
            pairs.append(
                Pair(
                    "pollux_sia_step_times", f"pollux/{name}", what, base, goal, f"pollux/{tag}", fabric, network, rate,
                    parameters, model.known, 1.0, model.domain, "pytorch", "fp32",
                )
            )  # fmt: skip
    return pairs


def dlperf_rows(folder: Path) -> list[Pair]:
    """DLPerf: seven frameworks on 1 to 32 V100. Inside the node against one GPU, 2 and 4 nodes against one."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    for row in read(folder, "dlperf_v100_1_32gpu.csv"):
        if not number(row["samples_per_s"]):
            continue
        section = re.sub(r"\d+\s*(gpu|node|v100)s?", "", row["section"].lower())
        key = (
            row["framework"],
            row["model"],
            section,
            row["batch_per_gpu"],
            row["precision"],
            row["xla"],
            row["loader"],
        )
        run = Run(int(row["n_gpus"]), int(row["n_nodes"]), float(row["samples_per_s"]), number(row["batch_per_gpu"]))
        series[key].append(
            (run, f"{row['framework']} {row['model']} b{row['batch_per_gpu']} {row['precision']} x{run.gpus}")
        )
    pairs = []
    for (framework, name, section, _, precision, *_), runs in series.items():
        if "bert" in f"{name} {section}".lower():
            model = known_model("bert large" if "large" in section else "bert base")
        else:
            model = known_model(f"{name} {section}" if "insightface" in name.lower() else name)
        inside = [(run, what) for run, what in runs if run.nodes == 1]
        several = [(run, what) for run, what in runs if run.nodes > 1 or run.gpus == 8]
        found = against_smallest(inside) + against_smallest(several, lambda run: run.nodes == 1)
        for base, goal, what in found:
            pairs.append(
                Pair(
                    "dlperf_v100_1_32gpu", f"dlperf/{framework}/{name.split('/')[0]}", what, base, goal, "dlperf", "nvlink2",
                    "rdma", 12.5e9, model.parameters, model.known, 1.0, model.domain,
                    framework.lower().replace("ngc-", ""), precision_of(precision),
                )
            )  # fmt: skip
    return pairs


def tf_2017_rows(folder: Path) -> list[Pair]:
    """TensorFlow's benchmark of 2017: DGX-1 P100 and K80 in one node; 1 to 8 p2.8xlarge."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    for row in read(folder, "tf_benchmarks_2017.csv"):
        if not number(row["images_per_s"]):
            continue
        run = Run(
            int(row["n_gpus"]),
            1 if int(row["n_gpus"]) <= 8 else int(row["n_nodes"]),
            float(row["images_per_s"]),
            number(row["batch_per_gpu"]),
        )
        key = (row["platform"], row["gpu"], row["data"], row["model"], row["batch_per_gpu"])
        series[key].append((run, f"{row['platform']} {row['data']} {row['model']} b{row['batch_per_gpu']} x{run.gpus}"))
    pairs = []
    for (platform, gpu, _, name, _), runs in series.items():
        model = known_model(name)
        inside = [(run, what) for run, what in runs if run.nodes == 1]
        several = [(run, what) for run, what in runs if run.nodes > 1 or run.gpus == 8]
        found = against_smallest(inside) + against_smallest(several, lambda run: run.nodes == 1)
        for base, goal, what in found:
            pairs.append(
                Pair(
                    "tf_benchmarks_2017", f"tf2017/{name}", what, base, goal, f"tf2017/{platform.split()[0]}",
                    fabric_of(gpu), "tcp", 1.25e9, model.parameters, model.known, 1.0, model.domain, "tensorflow", "fp32",
                )
            )  # fmt: skip
    return pairs


def mxnet_rows(folder: Path) -> list[Pair]:
    """MXNet on p2.16xlarge: up to 16 K80 in a node, up to 16 nodes over 20 Gb/s."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    for row in read(folder, "mxnet_aws_p2_and_gpus.csv"):
        if row["gpus_per_node"] in ("", "1"):
            continue
        gpus, wide = int(row["n_gpus"]), int(row["gpus_per_node"])
        run = Run(gpus, max(1, -(-gpus // wide)), float(row["images_per_s"]), number(row["batch_per_gpu"]))
        series[row["model"], row["batch_per_gpu"], row["gradient_MB"], row["network_gbps"]].append(
            (run, f"p2.16xlarge {row['model']} x{gpus}")
        )
    pairs = []
    for (name, _, megabytes, gigabits), runs in series.items():
        model = known_model(name)
        inside = [(run, what) for run, what in runs if run.nodes == 1]
        widest = max((run.gpus for run, _ in inside), default=None)
        several = [(run, what) for run, what in runs if run.nodes > 1 or run.gpus == widest]
        for base, goal, what in against_smallest(inside) + against_smallest(several):
            if goal.nodes > 1 and base.nodes > goal.nodes:
                continue
            pairs.append(
                Pair(
                    "mxnet_aws_p2_and_gpus", f"mxnet/{name}", what, base, goal, "mxnet/p2.16xlarge", "pcie3", "tcp",
                    (number(gigabits) or 20) / 8 * 1e9, (number(megabytes) or model.parameters / 0.25e6) * 0.25e6,
                    model.known, 1.0, model.domain, "mxnet", "fp32",
                )
            )  # fmt: skip
    return pairs
