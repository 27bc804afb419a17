"""The readers of scaling tables, continued: NVIDIA's examples, MLPerf, language models, AWS samples."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from pathlib import Path

from benchmarks.published.scaling_models import KnownModel, known_model
from benchmarks.published.scaling_rows import (
    Pair,
    Row,
    Run,
    against_smallest,
    dlperf_rows,
    fabric_of,
    lambda_rows,
    mxnet_rows,
    number,
    pollux_rows,
    precision_of,
    read,
    tf_2017_rows,
)


def _dle_site(row: Row) -> str:
    return f"dle/{row['gpu']}/{row['system'] or 'DGX'}"


def _dle_batch(text: str, precision: str, seq_len: str) -> float | None:
    """A cell's batch: several are listed by precision ("104@FP16, 48@FP32") or by phase ("96 and 16": 128, 512 tokens)."""
    parts = re.split(r",|/| and ", text or "")
    if len(parts) < 2:
        return number(text)
    half = "fp16" in precision.lower() or "amp" in precision.lower()
    for part in parts:
        if re.search(r"FP16|AMP" if half else r"FP32|TF", part):
            return number(part)
    return number(parts[1 if seq_len.startswith(("384", "512")) else 0])


def dle_node_rows(folder: Path) -> list[Pair]:
    """NVIDIA DeepLearningExamples, 1 to n GPUs of a node, as paired by the table's makers; equal pairs once."""
    pairs = []
    seen = set()
    for row in read(folder, "dle_scaling_pairs.csv"):
        key = tuple(
            row[name]
            for name in ("framework", "model", "variant", "gpu", "precision", "seq_len", "thr_1gpu", "n", "thr_n")
        )
        if float(row["n_nodes"] or 1) > 1 or key in seen:
            continue
        seen.add(key)
        precision, seq = row["precision"], row["seq_len"]
        base = Run(1, 1, float(row["thr_1gpu"]), _dle_batch(row["batch_per_gpu_1"], precision, seq))
        batch = _dle_batch(row["batch_per_gpu_n"], precision, seq)
        goal = Run(int(float(row["n"])), 1, float(row["thr_n"]), base.batch if batch is None else batch)
        if row["mode"] != "strong" and base.batch:
            goal = Run(goal.gpus, 1, goal.samples_per_s, base.batch)
        model = _dle_model(row, base.batch)
        pairs.append(
            Pair(
                "dle_scaling_pairs", _dle_group(row), f"{row['source'].split('@')[-1][:60]} {precision} x{goal.gpus}", base,
                goal, _dle_site(row), fabric_of(row["gpu"]), "rdma", 100e9, model.parameters, model.known,
                model.units_per_sample, model.domain, row["framework"].lower(), precision_of(precision),
            )
        )  # fmt: skip
    return pairs


def _dle_group(row: Row) -> str:
    return f"dle/{row['framework']}/{row['model'].split('/')[-1]}"


def _dle_model(row: Row, batch: float | None) -> KnownModel:
    """One README holds Tacotron 2 and WaveGlow: they are told apart by their batch (48 or more, and 4 to 10)."""
    if "Tacotron2" in row["model"] and batch and batch <= 12:
        return known_model("waveglow")
    return known_model(f"{row['model']} {row['variant']} {row.get('section', '') if 'XL' in row['model'] else ''}")


def dle_cluster_rows(folder: Path) -> list[Pair]:
    """NVIDIA DeepLearningExamples on several nodes. The global batch is often kept, by fewer micro-steps."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    firsts: dict[tuple[str, ...], Row] = {}
    for row in read(folder, "nvidia_dle_head.csv"):
        nodes = number(row["n_nodes_derived"]) or number(row["nodes"])
        gpus = number(row["gpus_total"])
        if not (number(row["throughput"]) and nodes and gpus):
            continue
        batch = _dle_batch(row["batch_per_gpu"], row["precision"], row["seq_len"])
        accumulation = _dle_batch(row["grad_accum"], row["precision"], row["seq_len"]) or 1.0
        section = re.sub(r"\d+ ?nodes?|multi-node.*|single-node.*", "", row["section"].lower())
        key = (row["framework"], row["model"], row["variant"], section, row["gpu"], row["gpu_mem_gb"], row["precision"],
               row["seq_len"], row["xla"], row["batch_per_gpu"])  # fmt: skip
        firsts.setdefault(key, row)
        what = f"{row['source'].split(':')[-1]} {row['precision']} {row['seq_len']} {nodes:g}x{gpus / nodes:g}"
        series[key].append((Run(int(gpus), int(nodes), float(row["throughput"]), batch, accumulation), what))
    pairs = []
    for key, runs in series.items():
        row = firsts[key]
        widest = max((run.gpus for run, _ in runs if run.nodes == 1), default=0)
        model = _dle_model(row, runs[0][0].batch)
        several = [(run, what) for run, what in runs if run.nodes > 1 or run.gpus == widest]
        for base, goal, what in against_smallest(several):
            if goal.nodes > base.nodes:
                pairs.append(
                    Pair(
                        "nvidia_dle_head", _dle_group(row), what, base, goal, _dle_site(row), fabric_of(row["gpu"]), "rdma",
                        200e9 if row["gpu"] == "A100" else 100e9, model.parameters, model.known, model.units_per_sample,
                        model.domain, row["framework"].lower(), precision_of(row["precision"]),
                    )
                )  # fmt: skip
    return pairs


def _in_eights(run: Run) -> Run:
    """Some submitters call their whole system a node: more than 16 accelerators are counted as nodes of 8 then."""
    if run.gpus <= 16 or run.nodes >= run.gpus / 8:
        return run
    return Run(run.gpus, max(run.nodes, -(-run.gpus // 8)), run.samples_per_s, run.batch)


_NETWORKS = {
    "A100": 200e9,
    "H100": 400e9,
    "H200": 400e9,
    "Blackwell": 400e9,
}  # a DGX's, bytes/s: 8 ports of 200 or 400 Gb/s


def _mlperf_network(text: str, accelerator: str) -> float:
    """Bytes/s of a node's network, from its free description: the widest "8x ... 200Gb" in it; else what is usual."""
    rates = [float(count or 1) * float(rate) for count, rate in re.findall(r"(?:(\d+) ?x)?[^,x]*?(\d{2,3}) ?G", text)]
    return max(rates) / 8 * 1e9 if rates else _NETWORKS.get(accelerator, 50e9)


def mlperf_rows(folder: Path) -> list[Pair]:
    """MLPerf Training: one submitter's system, small and large. Strong scaling: the batch per accelerator shrinks."""
    pairs = []
    for row in read(folder, "mlperf_scaling_pairs.csv"):
        if not (number(row["base_thr"]) and number(row["n_thr"])):
            continue
        few, many = int(row["base_acc"]), int(row["n_acc"])
        base = Run(
            few,
            int(float(row["base_nodes"] or 1)),
            float(row["base_thr"]),
            (number(row["base_gbs"]) or 0) / few or None,
        )
        goal = Run(
            many, int(float(row["n_nodes"] or 1)), float(row["n_thr"]), (number(row["n_gbs"]) or 0) / many or None
        )
        base, goal = _in_eights(base), _in_eights(goal)
        if goal.nodes == 1:
            continue  # two whole systems of one node: another accelerator count, not more of the same
        model = known_model(row["benchmark"])
        # Pipelined and sliced over as many GPUs of 80 GB as 18 bytes a parameter need: each exchanges its slice only.
        slices = 2 ** max(0.0, math.ceil(math.log2(model.parameters * 18 / 80e9)))
        tokens = (
            2048.0 if row["benchmark"] == "gpt3" else 1.0
        )  # this benchmark counts tokens, its batch counts sequences
        step_s = (base.batch or 0) * few * tokens / base.samples_per_s
        form = f"{row['accelerator']} {row['form']} {row['interconnect'] if 'PCIe' in row['interconnect'] else ''}"
        fabric = fabric_of(form) if row["accelerator"] else "other"
        pairs.append(
            Pair(
                "mlperf_scaling_pairs", f"mlperf/{row['benchmark']}",
                f"{row['round']} {row['submitter']} {row['benchmark']} {row['accelerator']} {few}->{many}", base, goal,
                f"mlperf/{row['accelerator'] or row['submitter']}", fabric, "rdma",
                _mlperf_network(row["network"], row["accelerator"]),
                model.parameters / slices, model.known, tokens, model.domain, "mlperf", "fp16",
                # Some logs count thousands of samples: no vision step takes seconds.
                step_known=0 < step_s < (5 if model.domain != "language" else 1e3),
            )
        )  # fmt: skip
    return pairs


def mpt_rows(folder: Path) -> list[Pair]:
    """LLM Foundry: MPT 125M to 70B, fully sharded, on 8 to 512 GPUs. Base: the fewest nodes of the same job."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    parameters: dict[tuple[str, ...], float] = {}
    for row in read(folder, "llmfoundry_mpt.csv"):
        gpus = int(row["# GPUs"])
        rate = number(row["Throughput (T/s)"])
        if not rate or row["Activation CPUOffload"] == "True":
            continue
        key = (row["section"], row["source"].split(":")[0], row["Model"], row["SeqLen (T)"], row["GPU"], row["Precision"],
               row["Sharding Strategy"], row["Activation Checkpointing"])  # fmt: skip
        micro = (number(row["MicroBatchSize"]) or 1) * (number(row["SeqLen (T)"]) or 2048)
        run = Run(gpus, max(1, gpus // 8), rate, micro, number(row["GradAccum"]) or 1)
        series[key].append((run, f"MPT-{row['Model']} {row['GPU']} {row['SeqLen (T)']} x{gpus}"))
        parameters[key] = float(row["NumParams"])
    pairs = []
    for key, runs in series.items():
        _, _, name, _, gpu, precision, *_ = key
        rate = 400e9 if "h100" in gpu else 200e9
        for base, goal, what in against_smallest(runs):
            if goal.nodes > base.nodes:
                pairs.append(
                    Pair(
                        "llmfoundry_mpt", f"mpt/{name}", what, base, goal, f"mpt/{gpu}", fabric_of(gpu), "rdma", rate,
                        parameters[key], True, 1.0, "language", "composer", precision_of(precision), sharded=True,
                    )
                )  # fmt: skip
    return pairs


def aws_rows(folder: Path) -> list[Pair]:
    """AWS samples on p3dn.24xlarge: iterations/s, or hours for the same epochs (the batch per GPU kept)."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    facts: dict[tuple[str, ...], Row] = {}
    for row in read(folder, "aws_and_horovod_scaling.csv"):
        value, batch = number(row["value"]), number(row["batch_per_gpu"])
        metric = row["metric"]
        if not value or "efficiency" in metric or not number(row["n_nodes"]):
            continue
        gpus, nodes = int(row["n_gpus"]), int(row["n_nodes"])
        accumulation = number(row["grad_accum"]) or 1.0
        if "iterations/s" in metric:
            rate = value * (batch or 1) * accumulation * gpus
        elif re.match(r"hours|minutes", metric):
            rate = 1e6 / value  # epochs of one size: only the ratio of two rates is known
        else:
            rate = value
        key = (
            row["source"],
            row["model"],
            "time" if re.match(r"hours|minutes", metric) else metric,
            metric,
            row["precision"],
        )
        series[key].append(
            (Run(gpus, nodes, rate, batch, accumulation), f"{row['instance']} {row['model']} {nodes}x{gpus // nodes}")
        )
        facts[key] = row
    pairs = []
    for key, runs in series.items():
        row = facts[key]
        batches = {run.batch for run, _ in runs if run.nodes == 1}
        runs = [(run, what) for run, what in runs if run.batch in batches or run.nodes > 1]
        model = known_model(row["model"])
        unknown_step = key[2] == "time"
        for base, goal, what in against_smallest(runs, lambda run: run.nodes == 1):
            if goal.nodes == base.nodes:
                continue
            pairs.append(
                Pair(
                    "aws_and_horovod_scaling", f"aws/{row['model']}", what, base, goal, "aws/p3dn", fabric_of(row["gpu"]), "tcp",
                    12.5e9, model.parameters, model.known, 1.0, model.domain, "tensorflow", "fp16",
                    step_known=not unknown_step,
                )
            )  # fmt: skip
    return pairs


def horovod_rows(folder: Path) -> list[Pair]:
    """Horovod's 512 P100: only the efficiency against one GPU is told, so that the base's speed is 1 sample/s a GPU."""
    pairs = []
    for row in read(folder, "aws_and_horovod_scaling.csv"):
        if "efficiency vs 1 GPU" not in row["metric"]:
            continue
        model = known_model(row["model"])
        batch = number(row["batch_per_gpu"])
        base = Run(1, 1, 1.0, batch)
        goal = Run(int(row["n_gpus"]), int(row["n_nodes"]), int(row["n_gpus"]) * float(row["value"]), batch)
        pairs.append(
            Pair(
                "aws_and_horovod_scaling", f"horovod/{row['model']}", f"Horovod {row['model']} x{goal.gpus}", base, goal,
                "horovod", "pcie3", "rdma", 3.125e9, model.parameters, model.known, 1.0, model.domain, "tensorflow", "fp32",
                step_known=False,
            )
        )  # fmt: skip
    return pairs


def diffusion_rows(folder: Path) -> list[Pair]:
    """Stable Diffusion 2 on 8 to 128 A100; the global batch of 2048 is kept."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    for row in read(folder, "mosaicml_diffusion_a100.csv"):
        gpus = int(row["n_gpus"])
        run = Run(gpus, gpus // 8, float(row["images_per_s"]), 2048 / gpus)
        series[row["model"], row["resolution"]].append((run, f"{row['model']} {row['resolution']} x{gpus}"))
    pairs = []
    for (name, _), runs in series.items():
        model = known_model(name)
        for base, goal, what in against_smallest(runs):
            pairs.append(
                Pair(
                    "mosaicml_diffusion_a100", f"mosaic/{name}", what, base, goal, "mosaic", "A100", "rdma", 200e9,
                    model.parameters, model.known, 1.0, "diffusion", "composer", "fp16",
                )
            )  # fmt: skip
    return pairs


def torchtitan_rows(folder: Path) -> list[Pair]:
    """torchtitan: Llama with FSDP, tokens/s of a GPU."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    for row in read(folder, "torchtitan_llama.csv"):
        gpus = int(row["n_gpus"])
        batch = number(row["local_batch"])
        tokens = batch * (number(row["seq_len"]) or 8192) if batch else None
        run = Run(gpus, max(1, gpus // 8), float(row["tokens_per_s_per_gpu"]) * gpus, tokens)
        key = (row["source"], row["model"], row["gpu"], row["local_batch"], row["seq_len"], row["strategy"])
        series[key].append((run, f"{row['model']} {row['strategy']} x{gpus}"))
    pairs = []
    for (_, name, gpu, _, _, strategy), runs in series.items():
        model = known_model(name)
        for base, goal, what in against_smallest(runs):
            pairs.append(
                Pair(
                    "torchtitan_llama", f"torchtitan/{name}", what, base, goal, "torchtitan", fabric_of(gpu), "rdma", 400e9,
                    model.parameters, model.known, 1.0, "language", "torchtitan", "fp8" if "8" in strategy[8:] else "bf16",
                    sharded=True,
                )
            )  # fmt: skip
    return pairs


def nemo_rows(folder: Path) -> list[Pair]:
    """NeMo: the same model and parallel layout on more GPUs."""
    series: dict[tuple[str, ...], list[tuple[Run, str]]] = defaultdict(list)
    for row in read(folder, "nemo_megatron_llm.csv"):
        gpus, rate = number(row["#-GPUs"]), number(row["Tokens / sec / GPU"])
        if not gpus or not rate or not row["Model"]:
            continue
        layout = tuple(
            row[name] for name in ("MBS", "Sequence Length", "TP", "PP", "CP", "VP", "Task", "Packed Sequence Length")
        )
        shards = (number(row["TP"]) or 1) * (number(row["PP"]) or 1)
        micro = (number(row["MBS"]) or 1) * (number(row["Sequence Length"]) or 4096) / shards
        accumulation = (number(row["GBS"]) or gpus) * shards / gpus / (number(row["MBS"]) or 1)
        run = Run(int(gpus), max(1, int(gpus) // 8), rate * gpus, micro, max(1.0, accumulation))
        series[(row["source"].split("#")[0], row["date"], row["Model"], str(shards), *layout)].append(
            (run, f"{row['Model']} x{gpus:g}")
        )
    pairs = []
    for (_, _, name, shards, *_), runs in series.items():
        model = known_model(name)
        for base, goal, what in against_smallest(runs):
            pairs.append(
                Pair(
                    "nemo_megatron_llm", f"nemo/{name}", what, base, goal, "nemo", "H100", "rdma", 400e9,
                    model.parameters / float(shards), model.known, 1.0, "language", "megatron", "fp8",
                )
            )  # fmt: skip
    return pairs


READERS = (
    lambda_rows, pollux_rows, dlperf_rows, tf_2017_rows, mxnet_rows, dle_node_rows, dle_cluster_rows, mlperf_rows, mpt_rows,
    aws_rows, horovod_rows, diffusion_rows, torchtitan_rows, nemo_rows,
)  # fmt: skip


def pairs_of(folder: Path) -> list[Pair]:
    """Every pair that the folder's tables hold."""
    return [pair for reader in READERS for pair in reader(folder)]
