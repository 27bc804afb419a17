"""A step on another accelerator: the physics, the paths, the intervals, the shipped constants, and the published tables."""

from __future__ import annotations

import dataclasses
import math
import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlscale.calibration.other_gpu import read_constants
from mlscale.catalog.types import Accelerator, Precision, Source, StepCost
from mlscale.errors import UnreadableInput
from mlscale.model.accelerator import OtherGpuConstants, kind_of, path_on, predict, predict_total

ROOT = Path(__file__).parents[2]
FILE = ROOT / "profiles" / "calibration" / "other_gpu.yaml"
VALIDATION = ROOT.parent / "shared" / "validation"
CONSTANTS = read_constants(FILE)


def sheet(name: str, architecture: str, gb_per_s: float, **tflops: float) -> Accelerator:
    peaks: dict[Precision, float] = {path: rate * 1e12 for path, rate in tflops.items()}  # type: ignore[misc]
    return Accelerator(
        name, "", architecture, 0.0, gb_per_s * 1e9, peaks, "", None, None, None, Source("test", date(2026, 11, 25))
    )


K80 = sheet("K80", "Kepler", 240, fp32=4.37)
V100 = sheet("V100-16GB", "Volta", 900, fp32=15.7, fp16=125)
A100 = sheet("A100-80GB", "Ampere", 2039, fp32=19.5, tf32=156, fp16=312, bf16=312)
H100 = sheet("H100", "Hopper", 3350, fp32=66.9, tf32=494.7, fp16=989.4, bf16=989.4, fp8=1978.9)
B300 = sheet("B300", "Blackwell Ultra", 8000, fp32=77, tf32=1125, fp16=2250, bf16=2250, fp8=4500)
TRAINIUM = sheet("Trainium", "NeuronCore-v2 x2", 820, fp32=47.5, bf16=190)

precisions = st.sampled_from(("fp32", "tf32", "fp16", "bf16", "fp8"))
domains = st.sampled_from(("image classification", "language", "recommendation", "video", "protein folding"))
chips = st.sampled_from((K80, V100, A100, H100, B300, TRAINIUM))
seconds = st.floats(1e-6, 1e3)


def of(told: object) -> float:
    return told.s_per_sample.value  # type: ignore[attr-defined,no-any-return]


@given(seconds, precisions, domains, chips, chips)
def test_there_and_back_is_where_it_began(
    s: float, precision: Precision, domain: str, one: Accelerator, other: Accelerator
) -> None:
    there = predict_total(s, precision, domain, one, other, CONSTANTS)
    assert there is not None
    back = predict_total(of(there), precision, domain, other, one, CONSTANTS)
    assert back is not None and of(back) == pytest.approx(s, rel=1e-9)


@given(seconds, precisions, domains, chips, chips, chips)
def test_a_way_round_leads_to_the_same(
    s: float, precision: Precision, domain: str, one: Accelerator, between: Accelerator, other: Accelerator
) -> None:
    first = predict_total(s, precision, domain, one, between, CONSTANTS)
    assert first is not None
    second = predict_total(of(first), precision, domain, between, other, CONSTANTS)
    straight = predict_total(s, precision, domain, one, other, CONSTANTS)
    assert second is not None and straight is not None and of(second) == pytest.approx(of(straight), rel=1e-9)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(1e-4, 10))
def test_known_classes_scale_with_time_and_lie_between_them(
    matrix: float, memory: float, host: float, scale: float
) -> None:
    step = StepCost("V100-16GB", "fp16", 64, matrix + 1e-3, memory, host)
    told = predict(step, "language", V100, A100, CONSTANTS)
    longer = dataclasses.replace(
        step,
        matrix_s_per_sample=step.matrix_s_per_sample * scale,
        memory_s_per_sample=memory * scale,
        host_s_per_sample=host * scale,
    )
    again = predict(longer, "language", V100, A100, CONSTANTS)
    assert told is not None and again is not None
    assert of(again) == pytest.approx(of(told) * scale)
    assert of(told) >= host * 0.5  # the host does not speed up with the accelerator
    assert told.s_per_sample.low <= of(told) <= told.s_per_sample.high


def test_host_time_stays() -> None:
    told = predict(StepCost("A100-80GB", "bf16", 1, 0.0, 0.0, 2.0), "language", A100, B300, CONSTANTS)
    assert told is not None and of(told) == pytest.approx(2.0)


def test_the_same_accelerator_is_no_prediction() -> None:
    told = predict_total(0.25, "bf16", "language", A100, A100, CONSTANTS)
    assert told is not None and told.s_per_sample.value == 0.25 and told.s_per_sample.log_sd == 0


def test_a_smaller_batch_costs_more_a_sample() -> None:
    same = predict_total(1.0, "fp16", "language", V100, A100, CONSTANTS)
    halved = predict_total(1.0, "fp16", "language", V100, A100, CONSTANTS, batch_ratio=2.0)
    assert same is not None and halved is not None
    assert of(halved) > of(same) and halved.s_per_sample.log_sd > same.s_per_sample.log_sd


@pytest.mark.parametrize(
    ("asked", "on", "taken"),
    [
        ("bf16", V100, "fp16"),
        ("tf32", V100, "fp32"),
        ("fp8", A100, "bf16"),
        ("fp16", K80, "fp32"),
        ("fp16", TRAINIUM, "bf16"),
        ("tf32", H100, "tf32"),
    ],
)
def test_the_best_path_that_the_target_has(asked: Precision, on: Accelerator, taken: Precision) -> None:
    assert path_on(on, asked) == taken
    source = H100 if on is not H100 else A100
    told = predict_total(1.0, asked, "language", source, on, CONSTANTS)
    assert told is not None and told.path == taken


def test_no_rate_at_all_is_not_guessed() -> None:
    assert predict_total(1.0, "fp16", "language", A100, sheet("Gaudi-HL-205", "Gaudi1", 1000), CONSTANTS) is None
    assert predict(StepCost("A100-80GB", "fp16", 1, 0.0, 0.0, 0.0), "language", A100, H100, CONSTANTS) is None


def test_the_interval_widens_with_what_was_not_measured() -> None:
    def log_sd(target: Accelerator, domain: str = "language") -> float:
        told = predict_total(1.0, "bf16", domain, A100, target, CONSTANTS)
        assert told is not None
        return told.s_per_sample.log_sd

    unheard = dataclasses.replace(H100, name="Z100")
    elsewhere = dataclasses.replace(unheard, architecture="Zetta")
    assert log_sd(H100) < log_sd(unheard) < log_sd(elsewhere)
    assert log_sd(H100) < log_sd(H100, "protein folding")
    assert log_sd(dataclasses.replace(unheard, architecture="Hopper Ultra")) == pytest.approx(log_sd(unheard))


def test_half_precision_classes_are_trusted_as_a_total_is() -> None:
    """The tables know classes on FP32 paths only."""
    full = predict(StepCost("K80", "fp32", 64, 0.6, 0.3, 0.1), "image classification", K80, V100, CONSTANTS)
    half = predict(StepCost("V100-16GB", "fp16", 64, 0.6, 0.3, 0.1), "image classification", V100, A100, CONSTANTS)
    assert full is not None and half is not None
    assert full.s_per_sample.log_sd < half.s_per_sample.log_sd


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("recommendation", "recommender"),
        ("3D medical", "segmentation"),
        ("video", "image classification"),
        ("Object-Detection", "object detection"),
        ("LLM pre-training", "large language model"),
        ("language", "language"),
        ("protein folding", None),
    ],
)
def test_domains_find_their_kind(domain: str, kind: str | None) -> None:
    assert kind_of(domain, CONSTANTS) == kind


def test_bandwidth_and_peak_both_count() -> None:
    """A target with twice the bandwidth is faster, one with twice both is faster by at most two."""
    wider = dataclasses.replace(H100, memory_bytes_per_s=2 * H100.memory_bytes_per_s)
    double = dataclasses.replace(wider, peak_flops={path: 2 * rate for path, rate in H100.peak_flops.items()})
    times = [
        of(predict_total(1.0, "bf16", "image classification", A100, target, CONSTANTS))
        for target in (H100, wider, double)
    ]
    assert times[0] > times[1] > times[2] >= times[0] / 2


def test_a_prediction_takes_microseconds() -> None:
    step = StepCost("V100-16GB", "fp16", 64, 0.6, 0.3, 0.1)
    least = math.inf
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(200):
            predict(step, "language", V100, A100, CONSTANTS)
        least = min(least, (time.perf_counter() - began) / 200)
    assert least < 100e-6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("peak_share:", "peak_shares:", "peak_share is missing"),
        ("half_precision_bytes: ", "half_precision_bytes: -", "half_precision_bytes must be a number above 0"),
        ("batch_exponent: ", "batch_exponent: much # ", "batch_exponent must be a number"),
        ("measured:\n", "measured: all\n    other:\n", "measured must be a list of fp32"),
        ("interval:", "interval: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    wrong = tmp_path / "other_gpu.yaml"
    text = FILE.read_text()
    assert old in text
    wrong.write_text(text.replace(old, new, 1))
    with pytest.raises(UnreadableInput) as raised:
        read_constants(wrong)
    assert told in raised.value.message and str(wrong) in raised.value.message and "\n" not in raised.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"nowhere\.yaml"):
        read_constants(tmp_path / "nowhere.yaml")


def test_every_accelerator_of_ec2_has_constants_or_a_generation() -> None:
    for name in (
        "K80",
        "M60",
        "V100-16GB",
        "V100-32GB",
        "T4",
        "T4g",
        "A10G",
        "A100-40GB",
        "L4",
        "L40S",
        "H200",
        "B200",
    ):
        assert name in CONSTANTS.speeds
    assert {"blackwell", "hopper", "ada", "ampere"} <= set(CONSTANTS.generations)


def test_the_fit_saw_the_same_data_sheets_as_the_catalog() -> None:
    from benchmarks.published.other_gpu_sheets import EC2, accelerators

    from mlscale.catalog.read import load

    catalog, sheets = load().accelerators, accelerators()
    for name in EC2:
        assert catalog[name].memory_bytes_per_s == sheets[name].memory_bytes_per_s, name
        assert dict(catalog[name].peak_flops) == dict(sheets[name].peak_flops), name


@pytest.mark.parametrize(
    ("model", "domain"),
    [
        ("Translation/Transformer", "language"),
        ("Translation/GNMT", "recurrent"),
        ("Recommendation/NCF", "recommender"),
        ("Classification/ConvNets/efficientnet", "image classification"),
        ("Forecasting/TFT", "other"),
        ("LeNet5", "image classification"),
        ("gpt3", "large language model"),
        ("llama2_70b_lora", "large language model"),
        ("unet3d", "segmentation"),
        ("bert_base_squad", "language"),
    ],
)
def test_published_models_are_put_in_their_domain(model: str, domain: str) -> None:
    pytest.importorskip("numpy")
    from benchmarks.published.other_gpu_tables import domain_of

    assert domain_of(model) == domain


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,671", 1671), ("32k", 32768), ("8.5e-05", 8.5e-05), ("", None), ("nan", None), ("0", None), ("*7*", None)],
)
def test_figures_as_the_tables_write_them(text: str, value: float | None) -> None:
    from benchmarks.published.other_gpu_tables import number

    assert number(text) == value


def test_a_folder_without_tables_predicts_nothing(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    from benchmarks.published.other_gpu import outcomes

    assert outcomes(tmp_path) == []


@pytest.mark.skipif(not VALIDATION.is_dir(), reason="the published tables are not beside the repository")
def test_published_pairs_whose_group_was_left_out() -> None:
    """Six groups, each left out of the fit of all the others: better than the peaks, and mostly inside the interval."""
    pytest.importorskip("numpy")
    from benchmarks.published.other_gpu import left_out, outcome
    from benchmarks.published.other_gpu_fit import name_of
    from benchmarks.published.other_gpu_tables import pairs
    from benchmarks.published.outcome import summary

    found = pairs(VALIDATION)
    groups = {
        "profet_aws_gpu_swap: AlexNet",
        "profet_aws_gpu_swap: VGG13",
        "lambda_summary: bert_large_squad",
        "llmfoundry_mpt: MPT-7b",
        "mlperf_8gpu_swap_pairs: rnnt",
        "dle_gpu_swap_v100_a100: wideanddeep",
    }
    constants: dict[str, OtherGpuConstants] = left_out(found, CONSTANTS, groups)
    assert set(constants) == groups
    told = summary([outcome(pair, constants[name_of(pair)]) for pair in found if name_of(pair) in groups])
    assert told["n"] > 500
    assert told["median_abs_error"] < 0.12 < told["naive_median_abs_error"]  # type: ignore[operator]
    assert told["interval_coverage"] > 0.8  # type: ignore[operator]
