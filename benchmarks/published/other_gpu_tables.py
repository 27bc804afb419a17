"""Reads the tables that measured one training step on several accelerators, into comparable pairs of rows."""

from __future__ import annotations

import csv
import itertools
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.published.other_gpu_sheets import EC2, OTHERS, SPELLED

from mlscale.catalog.types import Precision

Record = dict[str, str]


@dataclass(frozen=True)
class Row:
    """One measurement. `s_per_sample` per accelerator (a sample may be a token); `shares` of the step's time (matrix,
    memory, host) and `step_s`, the seconds of the whole step, where the table tells them."""

    gpu: str
    precision: Precision
    s_per_sample: float
    batch: float | None = None
    shares: tuple[float, float, float] | None = None
    step_s: float | None = None


@dataclass(frozen=True)
class Pair:
    """Two rows that differ in the accelerator (and where `batch` says so, the batch). The source's is the one given.
    `eight`: eight accelerators in one machine, gradients exchanged among them."""

    table: str
    group: str
    domain: str
    what: str
    source: Row
    target: Row
    eight: bool = False


# What a model does, from the words in its name: a user of mlscale states it with the workload. First match wins.
DOMAINS: tuple[tuple[str, str], ...] = (
    ("unet|vnet|segmentation", "segmentation"),
    ("rcnn|ssd|retinanet|efficientdet|yolo|detection", "object detection"),
    ("dlrm|ncf|wide|vae-cf|recommend|dcn|^sim$", "recommender"),
    ("gnmt|lstm|rnn-?t|tacotron", "recurrent"),
    ("jasper|quartznet|fastpitch|speech|waveglow|hifi|wav2vec|conformer", "speech"),
    ("diffusion|flux", "diffusion"),
    ("gnn|gat$|moflow|se3", "graph"),
    ("gpt|mpt|llama|^opt|mixtral|nemotron|switch|gemma|mistral|qwen|deepseek", "large language model"),
    ("bert|transformer|^t5|bart$|electra", "language"),
)


def domain_of(model: str) -> str:
    """The domain of a published model, by its name, else by the shelf it lies on ("Translation/Transformer"); a bare name
    that says nothing else is an image classifier."""
    shelf, _, name = model.lower().rpartition("/")
    for words, domain in DOMAINS:
        if re.search(words, name):
            return domain
    if shelf and "classification" not in shelf:
        return next((domain for words, domain in SHELVES if words in shelf), "other")
    return "image classification"


SHELVES: tuple[tuple[str, str], ...] = (
    ("segmentation", "segmentation"),
    ("detection", "object detection"),
    ("recommendation", "recommender"),
    ("speech", "speech"),
    ("language", "language"),
    ("translation", "language"),
    ("graph", "graph"),
)


def pairs(folder: Path) -> list[Pair]:
    """Every pair of the tables that the folder holds, in a fixed order."""
    return [pair for read in READERS for pair in read(folder)]


def records(folder: Path, name: str) -> list[Record]:
    """The rows of a table; none where the folder lacks it."""
    path = folder / f"{name}.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]


def number(text: str) -> float | None:
    """A figure as the tables write it (`1,671`, `32k`); None where it is none, or nothing."""
    plain = text.strip().replace(",", "")
    thousands = plain[-1:] in ("k", "K")
    try:
        value = float(plain[:-1] if thousands else plain) * (1024 if thousands else 1)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def known(gpu: str) -> str | None:
    """The catalog's name of an accelerator; None where no data sheet is at hand."""
    name = SPELLED.get(gpu, gpu)
    return name if name in EC2 or name in OTHERS else None


def precision(name: str, gpu: str) -> Precision:
    """`FP32` as NVIDIA's containers run it: TF32 where the accelerator has it."""
    sheet = (EC2 | OTHERS)[gpu]
    if name.upper().startswith("FP32"):
        return "tf32" if sheet[2] else "fp32"
    return "tf32" if name.upper() == "TF32" else "bf16" if "bf16" in name.lower() else "fp16"


def in_turn(table: str, group: str, what: str, rows: Iterable[Row], domain: str | None = None) -> Iterator[Pair]:
    """Each row in turn is the one measured; those on accelerators that EC2 rents, which a plan may choose, are predicted."""
    for source, target in itertools.permutations(rows, 2):
        if source.gpu != target.gpu and target.gpu in EC2:
            yield Pair(table, group, domain or domain_of(group), what, source, target)


def profet(folder: Path) -> Iterator[Pair]:
    """15 image classifiers, TensorFlow 2.5, FP32, four AWS types; the operation classes of the source are known."""
    keys = ("model", "dataset", "batchsize", "optimizer")
    shares: dict[tuple[str, ...], tuple[float, float, float]] = {}
    for file in ("g3", "g4", "p2", "p3"):
        for row in records(folder, f"profet_opclass_{file}"):
            matrix, depthwise, norm, other, idle = (
                number(row[f"{name}_us"]) or 0.0
                for name in ("conv_matmul", "depthwise", "batchnorm", "elementwise_other", "idle")
            )
            memory = depthwise + norm + other
            total = matrix + memory + idle
            if total > 0:
                shares[(row["instance_name"], *(row[key] for key in keys))] = (
                    matrix / total,
                    memory / total,
                    idle / total,
                )
    settings: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in records(folder, "profet_aws_gpu_swap"):
        gpu, setting = known(row["gpu"]), tuple(row[key] for key in keys)
        rate = number(row["samples_per_s"])
        if gpu and rate:
            seconds = 1 / rate
            settings[setting].append(
                Row(gpu, "fp32", seconds, number(row["batchsize"]), shares.get((row["instance_name"], *setting)))
            )
    for (model, dataset, batch, _), rows in settings.items():
        with_classes = [row for row in rows if row.shares]
        for pair in in_turn("profet_aws_gpu_swap", model, f"{dataset} batch {batch}", rows):
            if pair.source in with_classes:
                yield pair


def lambda_labs(folder: Path) -> Iterator[Pair]:
    """One GPU of many kinds in Lambda's benchmark, median over the machines that have it; no row under caution.

    A pair ran the same container; two GPUs that never did (a new one needs new software) are compared within a suite.
    """
    runs: dict[tuple[str, str], dict[tuple[str, str, str], list[tuple[float | None, float]]]] = {}
    for row in records(folder, "lambda_summary"):
        gpu = known(row["gpu_name"])
        rate = number(row["throughput_median"])
        if row["n_gpu"] == "1" and not row["caution"] and gpu and rate:
            cells = runs.setdefault((row["task"], row["precision"]), defaultdict(list))
            cells[row["suite"], row["pytorch"], gpu].append((number(row["batch_per_gpu"]), 1 / rate))
    for (task, name), cells in runs.items():
        rows = {cell: typical(cell[2], precision(name, cell[2]), found) for cell, found in cells.items()}
        same = [(one, other) for one, other in itertools.permutations(rows, 2) if one[:2] == other[:2]]
        compared = {(one[2], other[2]) for one, other in same}
        across = [
            (one, other)
            for one, other in itertools.permutations(rows, 2)
            if one[0] == other[0] and one[1] != other[1] and (one[2], other[2]) not in compared
        ]
        for one, other in same + across:
            if other[2] in EC2 and one[2] != other[2]:
                what = f"{name} suite {one[0]}{'' if one[1] == other[1] else ', other container'}"
                yield Pair("lambda_summary", task, domain_of(task), what, rows[one], rows[other])


def typical(gpu: str, path: Precision, runs: Sequence[tuple[float | None, float]]) -> Row:
    """The median of a GPU's runs at the batch that most of them used."""
    batches = [batch for batch, _ in runs]
    batch = max(batches, key=lambda one: (batches.count(one), one or 0))
    return Row(gpu, path, statistics.median(seconds for of_run, seconds in runs if of_run == batch), batch)


def deep_learning_examples(folder: Path) -> Iterator[Pair]:
    """V100 to A100 in one README at one commit (the same software's age), the batch at most doubled or halved."""
    seen = set()
    for row in records(folder, "dle_gpu_swap_v100_a100"):
        commits = [re.search(r"@(\w+):", row[side]) for side in ("src", "dst")]
        if not commits[0] or not commits[1] or commits[0][1] != commits[1][1]:
            continue
        batches = [number(row[f"batch_{side}"]) for side in ("src", "dst")]
        if batches[0] and batches[1]:
            if not 0.5 <= batches[1] / batches[0] <= 2:
                continue
        elif row["batch_src"] != row["batch_dst"]:
            continue
        gpu = "A100-40GB" if number(row["mem_dst"]) == 40 else "A100-80GB"
        before, after = number(row["thr_v100"]), number(row["thr_a100"])
        if not before or not after:
            continue
        key = (row["framework"].lower(), row["model"], row["variant"], row["prec_dst"], gpu, *batches, before, after)
        if key in seen:
            continue
        seen.add(key)
        group = row["model"].split("/")[-1].lower().replace("-", "")
        what = " ".join(filter(None, (row["variant"], row["seq_len"], row["prec_dst"])))
        yield Pair(
            "dle_gpu_swap_v100_a100",
            group,
            domain_of(row["model"]),
            f"{row['framework']} {what}",
            Row("V100-16GB", precision(row["prec_src"], "V100-16GB"), 1 / before, batches[0]),
            Row(
                gpu,
                "fp32" if row["prec_dst"] == "FP32" else precision(row["prec_dst"], gpu),
                1 / after,
                batches[1],
            ),
        )


ROUNDS = ("v0.5", "v0.6", "v0.7", "v1.0", "v1.1", "v2.0", "v2.1", "v3.0", "v3.1", "v4.0", "v4.1", "v5.0", "v5.1")


def mlperf(folder: Path) -> Iterator[Pair]:
    """Eight accelerators in one machine, mixed precision; of the rounds that measured both, those nearest each other."""
    compared: dict[tuple[str, str, str], list[tuple[int, Pair]]] = defaultdict(list)
    for row in records(folder, "mlperf_8gpu_swap_pairs"):
        source, target = known(row["src"]), known(row["dst"])
        if source is None or target is None or source == target or target not in EC2:
            continue
        ends = []
        for gpu, side in ((source, "src"), (target, "dst")):
            rate, batch = number(row[f"thr_{side}"]), number(row[f"gbs_{side}"])
            if rate:
                ends.append(Row(gpu, "fp16" if "fp16" in paths(gpu) else "bf16", 8 / rate, batch and batch / 8))
        if len(ends) < 2:
            continue
        rounds = [row["round_src"], row["round_dst"]]
        apart = abs(ROUNDS.index(rounds[0]) - ROUNDS.index(rounds[1])) if set(rounds) <= set(ROUNDS) else len(ROUNDS)
        benchmark = row["benchmark"]
        pair = Pair(
            "mlperf_8gpu_swap_pairs", benchmark, domain_of(benchmark), " to ".join(rounds), ends[0], ends[1], True
        )
        compared[benchmark, source, target].append((apart, pair))
    for found in compared.values():
        nearest = min(apart for apart, _ in found)
        yield from (pair for apart, pair in found if apart == nearest)


def paths(gpu: str) -> tuple[str, ...]:
    """The precision paths in an accelerator's data sheet."""
    names = ("fp32", "tf32", "fp16", "bf16", "fp8")
    return tuple(name for name, rate in zip(names, (EC2 | OTHERS)[gpu][1:], strict=True) if rate)


def llm_foundry(folder: Path) -> Iterator[Pair]:
    """MPT at one sequence length and number of GPUs, BF16, the best of the README's versions for each GPU."""
    settings: dict[tuple[str, ...], dict[str, Row]] = defaultdict(dict)
    for row in records(folder, "llmfoundry_mpt"):
        gpu, rate = known(row["GPU"]), number(row["Throughput (T/s/GPU)"])
        if gpu is None or not rate or "bf16" not in row["Precision"]:
            continue
        setting = settings[row["Model"], row["SeqLen (T)"], row["# GPUs"], row["Activation Checkpointing"]]
        length, batch = number(row["SeqLen (T)"]), number(row["MicroBatchSize"])
        if gpu not in setting or 1 / rate < setting[gpu].s_per_sample:
            setting[gpu] = Row(gpu, "bf16", 1 / rate, length and batch and length * batch)
    for (model, tokens, gpus, _), rows in settings.items():
        yield from in_turn(
            "llmfoundry_mpt", f"MPT-{model}", f"{tokens} tokens, {gpus} GPUs", rows.values(), "large language model"
        )


def neusight(folder: Path) -> Iterator[Pair]:
    """Transformers in true FP32, training and inference; latency of a batch."""
    settings: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in records(folder, "neusight_e2e"):
        gpu, latency = known(row["device"]), number(row["label_all_e2e_latency"])
        batch = number(row["batch"])
        if gpu and latency and batch:
            setting = settings[row["model_name"], row["seqlen"], row["batch"], row["mode"], row["option"]]
            setting.append(Row(gpu, "fp32", latency / 1e3 / batch, batch))
    for (model, tokens, batch_name, mode, _), rows in settings.items():
        yield from in_turn("neusight_e2e", model, f"{mode} {tokens} x {batch_name}", rows, "large language model")


def mxnet(folder: Path) -> Iterator[Pair]:
    """Image classifiers on one GPU, FP32, at one batch size and one release."""
    settings: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in records(folder, "mxnet_aws_p2_and_gpus"):
        gpu, rate = known(row["gpu"]), number(row["images_per_s"])
        if gpu and rate and row["n_gpus"] == "1":
            model = row["model"].split("(")[0]
            batch = (number(row["batch_per_gpu"]) or 1.0) * (8 if "(*8)" in row["model"] else 1)
            setting = settings[model, row["date"], str(batch)]
            if all(other.gpu != gpu for other in setting):
                setting.append(Row(gpu, "fp32", 1 / rate, batch))
    for (model, day, batch_name), rows in settings.items():
        yield from in_turn("mxnet_aws_p2_and_gpus", model, f"{day} batch {batch_name}", rows)


def nemo(folder: Path) -> Iterator[Pair]:
    """Large language models at one sequence length; the section names the GPU where it is not an H100."""
    settings: dict[tuple[str, ...], dict[str, Row]] = defaultdict(dict)
    for row in records(folder, "nemo_megatron_llm"):
        named = re.search(r"([\w.-]+) \((\w+)\) - (\w+)", row["section"])
        model = row["Model"] or (named[1] if named else "")
        gpu = known(named[3] if named else "H100")
        tflops = number(row["Model TFLOP / sec / GPU"] or row["TFLOPS / GPU"])
        length = number(row["Sequence Length"]) or 1024 * (
            number(row["SeqLen (K)"] or row["Sequence Length (K)"]) or number(row["Packed Sequence Length"]) or 0
        )
        if model and gpu and tflops and length:
            setting = settings[model.upper(), str(length), row["Task"]]
            if gpu not in setting or 1 / tflops < setting[gpu].s_per_sample:
                setting[gpu] = Row(gpu, "fp8", 1 / tflops)
    for (model, name, task), rows in settings.items():
        yield from in_turn(
            "nemo_megatron_llm", model, f"{name} tokens {task}".strip(), rows.values(), "large language model"
        )


def stas00(folder: Path) -> Iterator[Pair]:
    """One language model, H200 and B200, over sequence lengths."""
    for row in records(folder, "stas00_h200_b200_step"):
        model = row["model"].split(" train")[0]
        rates = {gpu: number(row[f"{gpu}_TFLOPS"]) for gpu in ("H200", "B200")}
        rows = [Row(gpu, "bf16", 1 / rate) for gpu, rate in rates.items() if rate]
        yield from in_turn("stas00_h200_b200_step", model, f"{row['seq_len_K']}K tokens", rows, "large language model")


READERS: Sequence[Callable[[Path], Iterator[Pair]]] = (
    profet,
    lambda_labs,
    deep_learning_examples,
    mlperf,
    llm_foundry,
    neusight,
    mxnet,
    nemo,
    stas00,
)
