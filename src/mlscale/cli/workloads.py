"""`mlscale workloads list / show / new`: the profiles of typical jobs, and a start for one's own."""

from __future__ import annotations

import dataclasses
import json
import os
import textwrap
from collections.abc import Mapping
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlscale.cli.output import Output, emit
from mlscale.errors import UsageProblem

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mlscale.catalog.types import StepCost, Workload

_CLASSES = (  # of operations, in the order shown
    ("matrix products", "matrix_s_per_sample"),
    ("memory-bound", "memory_s_per_sample"),
    ("host", "host_s_per_sample"),
)
_BAR_COLUMNS = 24
_NOT_TEXT = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")  # to YAML 1.1, when bare
_TEXT_COLUMNS = 108  # of a text in a file, before it is folded


def run_list(output: Output) -> int:
    """Shows all shipped profiles. Gives the exit code."""
    from mlscale.catalog.workloads import load_workloads

    found = list(load_workloads().values())
    if output.format == "json":
        return emit(output, lambda color, width: _json({"workloads": [_row(item) for item in found]}))
    return emit(output, lambda color, width: list_text(found, color=color, width=width))


def run_show(name: str, output: Output) -> int:
    """Shows one profile, shipped or from a file, with where its figures come from. Gives the exit code."""
    from mlscale.catalog.workloads import find_workload

    found = find_workload(name)
    if output.format == "json":
        return emit(output, lambda color, width: _json(as_json(found)))
    return emit(output, lambda color, width: as_text(found, color=color, width=width))


def run_new(name: str, path: Path | None, like: str) -> int:
    """Writes a profile to start from, with the figures of `like`, to `path` (NAME.yaml here when None; never over a
    file). Gives the exit code."""
    from mlscale.catalog.types import Source
    from mlscale.catalog.workloads import find_workload, valid_name

    if not valid_name(name):
        raise UsageProblem(f"workloads new {name}: a name is made of letters, digits, '-', '.' and '_'.")
    base = find_workload(like)
    path = Path(f"{name}.yaml") if path is None else path
    path = path / f"{name}.yaml" if path.is_dir() else path
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UsageProblem(f"workloads new: {path} does not end in .yaml. Name a YAML file.")
    today = datetime.now(timezone.utc).date()
    own = dataclasses.replace(
        base,
        name=name,
        title=f"{name} (figures of {base.name})",
        source=Source(f"not measured yet: figures of {base.name}", today, "low"),
        notes={"start": f"Copied from {base.name} on {today}. Say here, key by key, what was measured, and how."},
        measured=None,
    )
    head = (
        f"A workload profile for `mlscale recommend --workload {path}`. Its figures are those of {base.name}:\nreplace"
    )
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(
                as_yaml(own, f"{head} what you know better. `mlscale diagnose` measures most of them on a running job.")
            )
    except FileExistsError:
        raise UsageProblem(f"workloads new: {path} is there already. Name another file, or move that one.") from None
    except OSError as error:
        raise UsageProblem(f"workloads new: {path}: {error.strerror or error}. Name a file elsewhere.") from None
    text = f"Wrote {path}, with the figures of {base.name}. See it with: mlscale workloads show {_argument(path)}\n"
    return emit(Output("terminal", None), lambda color, width: text)


def _argument(path: Path) -> str:
    """As find_workload takes it for a path."""
    return str(path) if os.sep in str(path) or path.suffix else f".{os.sep}{path}"


def derived(workload: Workload) -> dict[str, float]:
    """What follows from a profile: on its reference accelerator, and of its data. Units in the names."""
    from mlscale.catalog.workloads import seconds_per_sample

    rate = 1 / seconds_per_sample(workload.step)
    data = workload.dataset
    return {
        "samples_per_s_on_reference": rate,
        "flops_per_s_on_reference": rate * workload.flops_per_sample,
        "prep_cores_per_reference": rate * workload.prep_cpu_s_per_sample,
        "read_bytes_per_s_per_reference": rate * data.bytes_per_sample,
        "reads_per_s_per_reference": rate * data.reads_per_sample,
        "dataset_bytes": data.samples * data.bytes_per_sample,
        "reference_hours": data.samples * workload.epochs / rate / 3600,
        "weights_and_optimizer_bytes": workload.parameters * workload.optimizer_bytes_per_parameter,
        "activation_bytes": workload.activation_bytes_per_sample * workload.step.batch_per_gpu,
    }


def as_json(workload: Workload) -> dict[str, Any]:
    """The profile with its own keys, and `derived`."""
    plain: dict[str, Any] = dataclasses.asdict(workload)
    plain["source"]["date"] = workload.source.date.isoformat()
    return {**plain, "derived": derived(workload)}


def _row(workload: Workload) -> dict[str, Any]:
    more = derived(workload)
    return {
        "name": workload.name,
        "title": workload.title,
        "domain": workload.domain,
        "samples": workload.dataset.samples,
        "dataset_bytes": more["dataset_bytes"],
        "epochs": workload.epochs,
        "parameters": workload.parameters,
        "reference": workload.step.reference,
        "precision": workload.step.precision,
        "samples_per_s_on_reference": more["samples_per_s_on_reference"],
        "confidence": workload.source.confidence,
    }


def _json(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def list_text(found: list[Workload], *, color: bool, width: int) -> str:
    """All profiles by domain: the name, and what it trains on what."""
    from rich.text import Text

    from mlscale.report.layout import heading, indented, rendered, rows
    from mlscale.report.words import quantity

    parts: list[RenderableType] = []
    for domain in sorted({item.domain for item in found}):
        listed = []
        for item in found:
            if item.domain == domain:
                more = derived(item)
                size = quantity(more["dataset_bytes"], "bytes")
                rate = f"{quantity(more['samples_per_s_on_reference'], '1/s')} on {item.step.reference}"
                listed.append((Text(item.name, "bold"), Text.assemble(item.title, "\n", (f"{size}; {rate}", "dim"))))
        parts += [heading(domain.capitalize() if domain.islower() else domain), rows(listed)]
    closing = "mlscale workloads show NAME tells more; mlscale workloads new NAME starts one of your own."
    return rendered([*parts, Text(), indented(Text(closing, "dim"))], color, width)


def as_text(workload: Workload, *, color: bool, width: int) -> str:
    """One profile: data, preparation, step, model, then where each figure comes from."""
    from rich.text import Text

    from mlscale.report.layout import heading, indented, rendered, rows
    from mlscale.report.words import quantity

    more, data, step = derived(workload), workload.dataset, workload.step

    def pair(what: str, said: str, more_said: str = "") -> tuple[Text, Text]:
        return Text(what), Text.assemble((said, "bold"), (f"  {more_said}" if more_said else "", "dim"))

    each = quantity(data.bytes_per_sample, "bytes")
    parts: list[RenderableType] = [
        heading(workload.name),
        indented(Text(workload.title, "bold")),
        heading("Data"),
        rows(
            [
                pair("samples", f"{data.samples:,}", f"{each} each, {quantity(more['dataset_bytes'], 'bytes')} in all"),
                pair("files", f"{data.files:,}", f"{data.reads_per_sample:g} reads a sample"),
                pair("epochs", f"{workload.epochs:g}", f"{more['reference_hours']:,.1f} h on one {step.reference}"),
                pair("preparation", f"{quantity(workload.prep_cpu_s_per_sample, 's')} of a core a sample",
                     f"{more['prep_cores_per_reference']:.2g} cores keep one {step.reference} busy"),
            ]
        ),
        heading(f"Step on {step.reference}, {step.precision}"),
        rows(_step_rows(step)),
        heading("Model"),
        rows(
            [
                pair("parameters", f"{workload.parameters:,.0f}", _exchanged(workload)),
                pair("arithmetic", f"{_scaled(workload.flops_per_sample)}FLOP a sample",
                     f"{_scaled(more['flops_per_s_on_reference'])}FLOP/s on {step.reference}"),
                pair("weights, gradients, optimizer", quantity(more["weights_and_optimizer_bytes"], "bytes"),
                     f"{workload.optimizer_bytes_per_parameter:g} bytes a parameter"),
                pair("activations", quantity(workload.activation_bytes_per_sample, "bytes"),
                     f"a sample; {quantity(more['activation_bytes'], 'bytes')} at {step.batch_per_gpu}"),
            ]
        ),
    ]  # fmt: skip
    if workload.notes:
        parts += [heading("Where each figure comes from"), rows((Text(k), Text(v)) for k, v in workload.notes.items())]
    source = workload.source
    parts += [Text(), indented(Text(f"Source: {source.name}, {source.date}; confidence: {source.confidence}", "dim"))]
    return rendered(parts, color, width)


def _step_rows(step: StepCost) -> list[Any]:
    from rich.text import Text

    from mlscale.catalog.workloads import seconds_per_sample
    from mlscale.report.layout import bar
    from mlscale.report.words import percent, quantity

    whole = seconds_per_sample(step)
    shown = [(Text("a sample"), Text.assemble((quantity(whole, "s"), "bold"), (f"  {_batches(step)}", "dim")))]
    for what, key in _CLASSES:
        share = getattr(step, key) / whole
        shown.append((Text(what), Text.assemble(f"{percent(share):>4}  ", (bar(share, _BAR_COLUMNS), "cyan"))))
    return shown


def _batches(step: StepCost) -> str:
    """Which rate that is, and with which batch."""
    from mlscale.catalog.workloads import seconds_per_sample
    from mlscale.report.words import quantity

    rate = quantity(1 / seconds_per_sample(step), "1/s")
    more = f" x {step.gradient_accumulation} accumulated" if step.gradient_accumulation > 1 else ""
    return f"{rate} at a batch of {step.batch_per_gpu:,}{more}"


def _exchanged(workload: Workload) -> str:
    from mlscale.report.words import quantity

    some = workload.synchronized_parameters
    of = f", of {some:,.0f} of them" if some is not None else ""
    return f"{quantity(workload.gradient_bytes, 'bytes')} of gradients exchanged a step{of}"


def _scaled(value: float) -> str:
    """A number with a prefix: "24.7 G"."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(value) < 1000 or prefix == "P":
            break
        value /= 1000
    return f"{value:.3g} {prefix}"


_SAID = {  # what each key is, above it in a file
    "source": "Where the figures come from, on which day; confidence: high, medium or low.",
    "dataset": "What is read, as it is stored. reads_per_sample: 1 for a file a sample, less for samples in shards.",
    "epochs": "How often a usual run goes through the data.",
    "prep_cpu_s_per_sample": "Seconds of one CPU core to read, decode and augment one sample (0: nothing to do).",
    "step": "Seconds of one sample's step (forward, backward, update) on the accelerator `reference`, by what bounds them:\n"
    "matrix products and convolutions; memory (norms, element-wise, optimizer); the host (launches, waits).",
    "flops_per_sample": "Forward and backward: 3 x the forward multiply-adds x 2.",
    "synchronized_parameters": "Whose gradients are exchanged (left out: all).",
    "gradient_bytes": "Sent by each accelerator at each exchange of gradients, before any algorithm's factor.",
    "optimizer_bytes_per_parameter": "Weights, gradients and optimizer state together, without sharding: 12 SGD with\n"
    "momentum, 16 Adam (in FP32, or FP16 weights and gradients with FP32 copies), 18 with gradients in FP32 beside them.",
    "activation_bytes_per_sample": "Kept from forward to backward.",
    "measured": "The published row that the step comes from.",
    "notes": "Where each figure comes from, by key.",
}


def as_yaml(workload: Workload, head: str) -> str:
    """A profile as a file, each key explained. Reading it gives the same profile again."""
    plain = dataclasses.asdict(workload)
    order = ("name", "title", "domain", "source", "dataset", "epochs", "prep_cpu_s_per_sample", "step",
             "flops_per_sample", "parameters", "synchronized_parameters", "gradient_bytes",
             "optimizer_bytes_per_parameter", "activation_bytes_per_sample", "tokens_per_sample", "measured",
             "notes")  # fmt: skip
    lines = [f"# {line}" for line in head.split("\n")] + [""]
    for key in order:
        value = plain[key]
        if value is None or value == {}:
            continue
        if key in _SAID:
            lines += ["", *(f"# {line}" for line in _SAID[key].split("\n"))]
        lines += _yaml_lines(key, value, 0)
    return "\n".join(lines) + "\n"


def _yaml_lines(key: str, value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, Mapping):
        return [
            f"{pad}{_yaml_scalar(key)}:",
            *(line for k, v in value.items() for line in _yaml_lines(k, v, depth + 1)),
        ]
    if isinstance(value, str) and len(value) > _TEXT_COLUMNS:
        folded = textwrap.wrap(value, _TEXT_COLUMNS, break_long_words=False, break_on_hyphens=False)
        return [f"{pad}{_yaml_scalar(key)}: >-", *(f"{pad}  {line}" for line in folded)]
    return [f"{pad}{_yaml_scalar(key)}: {_yaml_scalar(value)}"]


def _yaml_scalar(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        plain = value[:1].isalpha() and all(letter.isalnum() or letter in "-_" for letter in value)
        return value if plain and value.lower() not in _NOT_TEXT else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    if "e" in text and "." not in text:  # YAML 1.1 takes 1e-05 for text, and 1.0e-05 for a number
        text = text.replace("e", ".0e")
    return text
