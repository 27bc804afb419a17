"""A training step's time on another accelerator, from its time on one. Pure; seconds per sample throughout.

Time is split into matrix operations, memory-bound operations and the host. The first shrink with the accelerator's
achieved matrix rate, the second with its achieved memory bandwidth, the last does not shrink. docs/model-accelerator.md
has the equations; profiles/calibration/other_gpu.yaml the fitted constants.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlscale.catalog.types import Accelerator, Precision, StepCost
from mlscale.model.estimate import Estimate

# The path taken where an accelerator lacks the one asked for: the nearest in speed that trains the same model.
FALLBACKS: Mapping[Precision, tuple[Precision, ...]] = {
    "fp32": ("fp32", "tf32", "bf16", "fp16"),
    "tf32": ("tf32", "fp32", "bf16", "fp16"),
    "fp16": ("fp16", "bf16", "tf32", "fp32"),
    "bf16": ("bf16", "fp16", "tf32", "fp32"),
    "fp8": ("fp8", "bf16", "fp16", "tf32", "fp32"),
}
HALF: frozenset[Precision] = frozenset(("fp16", "bf16", "fp8"))  # operands of two bytes or less

# Words of a workload's domain, and the kind of the fitted constants that they stand for. First match wins.
KINDS: tuple[tuple[str, str], ...] = (
    ("recommend|click", "recommender"),
    ("diffusion|image generation", "diffusion"),
    ("llm|large language|pre-?training|fine-?tuning", "large language model"),
    ("translation|recurrent|lstm", "recurrent"),
    ("language|nlp|bert|text", "language"),
    ("speech|audio|voice", "speech"),
    ("segmentation|medical", "segmentation"),
    ("detection", "object detection"),
    ("classification|vision|image|video", "image classification"),
)

SMALL_SHARE = 0.02  # keeps the logarithm of a host share of nothing finite
REFERENCE_FLOPS = 8.1e12  # the T4's FP32 peak: only sets the zero of `small_kernels`
USUAL_HOST_TO_DEVICE = 0.2  # the same


@dataclass(frozen=True)
class Speed:
    """How one accelerator (or generation) does beside its data sheet, as logarithms: of the usual share of the matrix
    peak on each path, of the data sheet's bandwidth, of host time; and how its speed grows as kernels get smaller.
    `measured`: the paths that measurements named; the others follow the generation."""

    matrix: Mapping[Precision, float] = field(default_factory=dict)
    memory: float = 0.0
    host: float = 0.0
    small_kernels: float = 0.0
    measured: tuple[Precision, ...] = ()


@dataclass(frozen=True)
class Kind:
    """What a kind of model asks for, as logarithms: FLOP per byte (in FP32, and how it differs in half precision), and
    host seconds per byte."""

    flop_per_byte: float
    flop_per_byte_half: float
    host_s_per_byte: float


@dataclass(frozen=True)
class Spread:
    """Standard deviation of the logarithm of the error: `base`, and what is added, in quadrature, for each unit of the
    log gap between the two classes' speed-ups and of the log of the predicted ratio."""

    base: float
    gap: float
    ratio: float


@dataclass(frozen=True)
class OtherGpuConstants:
    """Everything fitted. `efficiency`: log of the usual share of the peak on each path. `half_traffic`: log of the bytes
    moved in half precision over FP32's. `groups`: the measurements' groups that had a part ("table: group")."""

    efficiency: Mapping[Precision, float]
    half_traffic: float
    batch_exponent: float
    speeds: Mapping[str, Speed]
    generations: Mapping[str, Speed]
    kinds: Mapping[str, Kind]
    other_kind: Kind
    known_classes: Spread
    total_only: Spread
    batch_log_sd: float
    unmeasured_log_sd: float
    unmeasured_generation_log_sd: float
    unmeasured_kind_log_sd: float
    eight_over_pcie: Mapping[str, float] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnTarget:
    """`s_per_sample` on the target at the source's batch, and the precision `path` that it takes there."""

    s_per_sample: Estimate
    path: Precision


def path_on(accelerator: Accelerator, precision: Precision) -> Precision | None:
    """The precision path that a job of this precision takes; None where the data sheet names no peak at all."""
    for path in FALLBACKS[precision]:
        if path in accelerator.peak_flops:
            return path
    return None


def kind_of(domain: str, constants: OtherGpuConstants) -> str | None:
    """The fitted kind that a workload's domain belongs to; None where none was measured."""
    if domain in constants.kinds:
        return domain
    lowered = domain.lower().replace("_", " ").replace("-", " ")
    for words, kind in KINDS:
        if kind in constants.kinds and re.search(words, lowered):
            return kind
    return None


def predict(
    step: StepCost, domain: str, source: Accelerator, target: Accelerator, constants: OtherGpuConstants
) -> OnTarget | None:
    """The step on `target`, its operation classes being known on `source`; None where a data sheet lacks every peak."""
    classes = (step.matrix_s_per_sample, step.memory_s_per_sample, step.host_s_per_sample)
    total = sum(classes)
    if not total > 0:
        return None
    return _predict(total, step.precision, domain, source, target, constants, classes, 1.0)


def predict_total(
    seconds_per_sample: float,
    precision: Precision,
    domain: str,
    source: Accelerator,
    target: Accelerator,
    constants: OtherGpuConstants,
    batch_ratio: float = 1.0,
) -> OnTarget | None:
    """The same where only the step's total is known: its classes are those usual for the domain. `batch_ratio` is the
    source's batch over the target's."""
    return _predict(seconds_per_sample, precision, domain, source, target, constants, None, batch_ratio)


def _predict(
    seconds: float,
    precision: Precision,
    domain: str,
    source: Accelerator,
    target: Accelerator,
    constants: OtherGpuConstants,
    classes: tuple[float, float, float] | None,
    batch_ratio: float,
) -> OnTarget | None:
    source_path, path = path_on(source, precision), path_on(target, precision)
    if source_path is None or path is None:
        return None
    if source.name == target.name and batch_ratio == 1.0:
        return OnTarget(Estimate(seconds), path)
    here, there = _speed(source, constants), _speed(target, constants)
    matrix = _matrix_rate(source, source_path, here, constants) - _matrix_rate(target, path, there, constants)
    memory = math.log(source.memory_bytes_per_s / target.memory_bytes_per_s) + here.memory - there.memory
    host = 0.0
    kind_name = kind_of(domain, constants)
    if classes is not None:
        shares = [one / seconds for one in classes]
        fine = (here.small_kernels - there.small_kernels) * smallness_of_kernels(shares, source, source_path)
        matrix, memory, host = matrix + fine, memory + fine, there.host - here.host
    else:
        kind = constants.kinds[kind_name] if kind_name else constants.other_kind
        shares = _usual_shares(kind, precision, source, source_path, here, constants)
    device = shares[0] * math.exp(matrix) + shares[1] * math.exp(memory)
    same_batch = device + shares[2] * math.exp(host)
    ratio = device + shares[2] * math.exp(host) * batch_ratio**constants.batch_exponent
    # Known classes were checked on FP32 paths only; elsewhere they are trusted no more than a total.
    checked = classes is not None and source_path == path == "fp32"
    spread = constants.known_classes if checked else constants.total_only
    variance = (
        spread.base**2
        + (spread.gap * (matrix - memory)) ** 2
        + (spread.ratio * math.log(same_batch)) ** 2
        + (constants.batch_log_sd * math.log(batch_ratio)) ** 2
        + (0.0 if kind_name or classes is not None else constants.unmeasured_kind_log_sd**2)
        + _unmeasured(source, source_path, constants)
        + _unmeasured(target, path, constants)
    )
    return OnTarget(Estimate(seconds * ratio, math.sqrt(variance)), path)


def _usual_shares(
    kind: Kind,
    precision: Precision,
    accelerator: Accelerator,
    path: Precision,
    speed: Speed,
    constants: OtherGpuConstants,
) -> list[float]:
    """Shares of the step's time in matrix operations, memory-bound ones and the host, usual for the kind."""
    half = precision in HALF
    intensity = kind.flop_per_byte + (kind.flop_per_byte_half if half else 0.0)
    parts = (
        math.exp(intensity - _matrix_rate(accelerator, path, speed, constants)),
        math.exp(constants.half_traffic if half else 0.0) / (accelerator.memory_bytes_per_s * math.exp(speed.memory)),
        math.exp(kind.host_s_per_byte),
    )
    total = sum(parts)
    return [part / total for part in parts]


def _matrix_rate(accelerator: Accelerator, path: Precision, speed: Speed, constants: OtherGpuConstants) -> float:
    """Log of the achieved matrix rate, FLOP/s."""
    fitted = fitted_path(path)
    return math.log(accelerator.peak_flops[path]) + constants.efficiency[fitted] + speed.matrix.get(fitted, 0.0)


def fitted_path(path: Precision) -> Precision:
    """The path whose constants serve: BF16 runs on the units of FP16, at its rate."""
    return "fp16" if path == "bf16" else path


def smallness_of_kernels(shares: list[float], source: Accelerator, path: Precision) -> float:
    """How small the kernels are: log of host time per unit of the device's work, around what is usual."""
    device = max(1 - shares[2], SMALL_SHARE)
    peak = source.peak_flops[path] / REFERENCE_FLOPS
    return math.log((shares[2] + SMALL_SHARE) / (device * peak * USUAL_HOST_TO_DEVICE))


def _speed(accelerator: Accelerator, constants: OtherGpuConstants) -> Speed:
    """The accelerator's own constants, else its generation's, else the data sheet's word."""
    return constants.speeds.get(accelerator.name) or _generation(accelerator, constants) or Speed()


def _generation(accelerator: Accelerator, constants: OtherGpuConstants) -> Speed | None:
    """The constants of its generation; "Blackwell Ultra" follows Blackwell."""
    name = accelerator.architecture.lower()
    return constants.generations.get(name) or constants.generations.get(name.split(" ")[0])


def _unmeasured(accelerator: Accelerator, path: Precision, constants: OtherGpuConstants) -> float:
    """Variance added where no measurement named the accelerator on this path: more if its generation is new as well."""
    own = constants.speeds.get(accelerator.name)
    if own is not None and fitted_path(path) in own.measured:
        return 0.0
    near = own is not None or _generation(accelerator, constants) is not None
    return (constants.unmeasured_log_sd if near else constants.unmeasured_generation_log_sd) ** 2
