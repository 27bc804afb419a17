"""The shipped profiles: physically plausible, and true to the published rows that they cite. Then: what is refused."""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlscale.catalog.read import profiles
from mlscale.catalog.types import Workload
from mlscale.catalog.workloads import find_workload, load_workloads, read_workload, seconds_per_sample
from mlscale.errors import UnreadableInput, UsageProblem

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "validation"
PROFILES = load_workloads()
NAMES = sorted(PROFILES)
SHARDED = ("# GPUs", "n_gpus", "#-GPUs")  # columns that say over how many the weights are divided

published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="../shared/validation is not beside this checkout")


@functools.lru_cache(maxsize=4)
def table(name: str) -> list[dict[str, str]]:
    with open(PUBLISHED / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@functools.lru_cache(maxsize=1)
def accelerators() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((profiles() / "accelerators.yaml").read_text(encoding="utf-8"))
    return found["accelerators"]  # type: ignore[no-any-return]


def cited(workload: Workload) -> dict[str, str]:
    """The one row that a profile cites."""
    row = workload.measured
    assert row is not None
    found = [line for line in table(row.table) if all(line[k] == v for k, v in row.where.items())]
    assert found, f"{row.table} has no such row"
    assert len({line[row.column] for line in found}) == 1, f"{len(found)} rows that differ"
    return found[0]


def rate(workload: Workload) -> float:
    return 1 / seconds_per_sample(workload.step)


def test_what_the_issue_asks_for_is_there() -> None:
    assert len(PROFILES) >= 18 and "resnet50-imagenet" in PROFILES
    domains = {item.domain for item in PROFILES.values()}
    assert domains >= {
        "image classification", "object detection", "segmentation", "speech", "language", "recommendation",
        "3D medical", "video", "diffusion",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_rate_is_within_the_reference(name: str) -> None:
    """Between 1 % and the whole of the dense peak; and the matrix part alone stays under the peak."""
    workload, step = PROFILES[name], PROFILES[name].step
    peak = accelerators()[step.reference]["dense_tflops"][step.precision] * 1e12
    assert 0.01 * peak < workload.flops_per_sample * rate(workload) < peak
    assert workload.flops_per_sample / step.matrix_s_per_sample < peak
    assert 0 < step.host_s_per_sample / seconds_per_sample(step) < 0.75


@pytest.mark.parametrize("name", NAMES)
def test_step_fits_the_reference(name: str) -> None:
    """Weights, gradients and optimizer (divided as in the published run), activations and 1 GB of context."""
    workload = PROFILES[name]
    where = workload.measured.where if workload.measured else {}
    over = next((int(where[column]) for column in SHARDED if column in where), 1)
    if workload.measured:
        over = max(over, workload.measured.gpus)
    states = workload.parameters * workload.optimizer_bytes_per_parameter / over
    activations = workload.activation_bytes_per_sample * workload.step.batch_per_gpu
    memory = accelerators()[workload.step.reference]["memory_gib"] * 2**30
    assert states + activations + 1e9 < memory


@pytest.mark.parametrize("name", NAMES)
def test_figures_go_together(name: str) -> None:
    workload, data = PROFILES[name], PROFILES[name].dataset
    exchanged = workload.synchronized_parameters or workload.parameters
    assert 1 <= workload.gradient_bytes / exchanged <= 4
    assert 2 <= workload.optimizer_bytes_per_parameter <= 20
    assert data.files <= 2 * data.samples  # an image and its label at most
    if data.files >= data.samples:
        assert data.reads_per_sample == data.files / data.samples
    else:
        assert data.reads_per_sample < 1
    assert 0 < workload.prep_cpu_s_per_sample < 1
    # Over 64 cores for one accelerator would be a slip of a unit.
    assert workload.prep_cpu_s_per_sample * rate(workload) < 64
    if workload.tokens_per_sample is not None and workload.parameters > 1e8:
        # At least 2 (6 where all is trained) operations a parameter and token; embeddings do none.
        per = workload.flops_per_sample / (workload.parameters * workload.tokens_per_sample)
        assert 2 < per < 12


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_says_where_it_comes_from(name: str) -> None:
    workload = PROFILES[name]
    assert {"step", "dataset", "prep", "flops", "parameters", "gradients", "optimizer", "activations"} <= set(
        workload.notes
    )
    if workload.measured is None:
        assert "Not among the published tables" in workload.notes["step"]
        assert workload.source.confidence != "high"
    for key in ("dataset", "prep", "flops", "parameters", "activations"):
        text = workload.notes[key]
        assert any(word in text for word in ("measured", "read", "computed", "remembered", "estimated", "as bert")), key


@published
@pytest.mark.parametrize("name", [name for name in NAMES if PROFILES[name].measured])
def test_step_is_the_cited_row(name: str) -> None:
    workload, row = PROFILES[name], PROFILES[name].measured
    assert row is not None
    per_accelerator = float(cited(workload)[row.column]) / row.gpus / row.units_per_sample
    assert rate(workload) == pytest.approx(per_accelerator, rel=2e-3)


@published
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("mpt-", "gpt-"))])
def test_arithmetic_agrees_with_the_published_utilisation(name: str) -> None:
    """llm-foundry's own MFU, on the A100's 312 TFLOP/s."""
    workload = PROFILES[name]
    utilisation = float(cited(workload)["MFU"]) / 100
    assert workload.flops_per_sample * rate(workload) / 312e12 == pytest.approx(utilisation, rel=0.01)
    assert workload.parameters == float(cited(workload)["NumParams"])


@published
@pytest.mark.parametrize(
    ("name", "model", "pixels"),
    [
        ("resnet50-imagenet", "resnet50", "224"),
        ("resnet18-imagenet", "resnet18", "224"),
        ("efficientnet-b0-imagenet", "efficientnet_b0", "224"),
        ("efficientnet-b4-imagenet", "tf_efficientnet_b4", "380"),
        ("vit-b16-imagenet", "vit_base_patch16_224", "224"),
    ],
)
def test_image_models_agree_with_timm(name: str, model: str, pixels: str) -> None:
    """Parameters, arithmetic, and: the largest batch that timm trained on 24 GB fits by our bytes a sample."""
    rows = [row for row in table("timm_train_rtx3090.csv") if row["model"] == model and row["train_img_size"] == pixels]
    workload = PROFILES[name]
    assert rows
    for row in rows:
        assert workload.parameters == pytest.approx(float(row["param_count"]) * 1e6, rel=0.005)
        assert workload.flops_per_sample == pytest.approx(6e9 * float(row["gmacs_at_train_img"]), rel=0.01)
        states = workload.parameters * workload.optimizer_bytes_per_parameter
        batch = int(row["train_batch_size"])
        assert states + batch * workload.activation_bytes_per_sample < 24 * 2**30


@published
@pytest.mark.parametrize(
    ("name", "benchmark", "rounds"),
    [("resnet50-imagenet", "resnet", ("v2.0", "v3.1")), ("rnnt-librispeech", "rnnt", ("v2.1", "v3.1"))],
)
def test_division_of_the_step_carries_to_another_accelerator(
    name: str, benchmark: str, rounds: tuple[str, str]
) -> None:
    """A100 80 GB to H100 by peak and bandwidth alone, against MLPerf's medians on eight: within 20 %."""
    rows = [row for row in table("mlperf_8gpu_by_accelerator.csv") if row["benchmark"] == benchmark]
    old, new = (
        float(next(row["thr"] for row in rows if (row["acc"], row["form"], row["mem"], row["round"]) == wanted))
        for wanted in (("A100", "SXM", "80", rounds[0]), ("H100", "SXM", "80", rounds[1]))
    )
    step, sheets = PROFILES[name].step, accelerators()
    assert step.reference == "A100-80GB"
    old_sheet, new_sheet = sheets["A100-80GB"], sheets["H100"]
    matrix = step.matrix_s_per_sample * old_sheet["dense_tflops"]["fp16"] / new_sheet["dense_tflops"]["fp16"]
    memory = step.memory_s_per_sample * old_sheet["memory_gb_per_s"] / new_sheet["memory_gb_per_s"]
    faster = seconds_per_sample(step) / (matrix + memory + step.host_s_per_sample)
    assert faster == pytest.approx(new / old, rel=0.2)


def test_found_by_name_in_any_spelling() -> None:
    assert find_workload("ResNet50_ImageNet") == PROFILES["resnet50-imagenet"]
    with pytest.raises(UsageProblem, match=r"resnet50-imgnet.*Did you mean resnet50-imagenet") as told:
        find_workload("resnet50-imgnet")
    assert "\n" not in told.value.message


SHIPPED = profiles() / "workloads" / "resnet50-imagenet.yaml"

REFUSED = [
    ("  samples: 1281167", "  samples: -5", ["dataset.samples: -5 is too small", "at least 1"]),
    ("  samples: 1281167", "  samples: 0", ["dataset.samples: 0 is too small"]),
    ("  samples: 1281167", "  samples: 1.5", ["dataset.samples: 1.5 is not a whole number"]),
    ("  samples: 1281167", "  samples:", ["dataset.samples: empty stands where a number"]),
    ("  samples: 1281167", "  samples: many", ["dataset.samples: 'many' is no number"]),
    ("  samples: 1281167", "  samples: true", ["dataset.samples: true or false stands where a number"]),
    ("  samples: 1281167", "  sample: 1281167", ["dataset.sample: there is no such key", "'samples'"]),
    ("  samples: 1281167\n", "", ["dataset.samples: is missing"]),
    ("  bytes_per_sample: 114660", "  bytes_per_sample: 0", ["dataset.bytes_per_sample: 0 is too small", "above 0"]),
    ("  bytes_per_sample: 114660", "  bytes_per_sample: .nan", ["bytes_per_sample: nan is not a finite"]),
    ("  bytes_per_sample: 114660", "  bytes_per_sample: .inf", ["bytes_per_sample: inf is not a finite"]),
    ("epochs: 90", f"epochs: {10**400}", ["epochs: 1000", "not a finite number"]),
    ("epochs: 90", "epochs: 0", ["epochs: 0 is too small"]),
    ("epochs: 90", "epochs: [90]", ["epochs: a list stands where a number"]),
    ("epochs: 90", "epochs: 90\nepochs: 91", ["epochs is there twice", "line "]),
    ("epochs: 90", "epoch: 90", ["epoch: there is no such key", "'epochs'"]),
    ("prep_cpu_s_per_sample: 0.004", "prep_cpu_s_per_sample: -0.1", ["prep_cpu_s_per_sample: -0.1 is too small"]),
    ("\nstep:", "\nstep: 3\nsteps:", ["there is no such key", "'step'"]),
    ('  reference: A100-80GB', "  reference: A100-80", ["step.reference: there is no accelerator 'A100-80'", "'A100-80GB'"]),
    ('  precision: fp16', "  precision: f16", ["step.precision: there is no 'f16'", "fp16"]),
    ("  date: 2024-04-04", "  date: yesterday", ["source.date: 'yesterday' is no day", "2024-04-30"]),
    ("  date: 2024-04-04", "  date: 2024-13-40", ["2024-04-30"]),
    ('  confidence: high', "  confidence: sure", ["source.confidence: there is no 'sure'", "high"]),
    ("name: resnet50-imagenet", "name: \"a/b\"", ["name: 'a/b' holds other letters"]),
    ("parameters: 25560000", "parameters: 2\nsynchronized_parameters: 3", ["synchronized_parameters: 3 is more"]),
    ("dataset:", "dataset: {", ["not YAML", "line "]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), REFUSED, ids=[f"{new.strip()[:40]!r}" for _, new, _ in REFUSED])
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UnreadableInput) as refused:
        find_workload(str(file))
    message = refused.value.message
    assert message.startswith(str(file)) and "\n" not in message
    for part in told:
        assert part in message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "a mapping is expected"),
        (b"- a\n- b\n", "a mapping is expected"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"name: x\n", "title: is missing"),
        (b"name: [\n", "not YAML"),
        (b"1: 2\n", "1: there is no such key"),
        (b"? [a, b]\n: 2\n", "no such key"),
        (b"&a [*a]\n", "nested too deep"),
        (b"[" * 100_000, "nesting depth"),
        (b"name: a\x00b\n", "not YAML"),
    ],
)
def test_files_that_are_no_profile(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(UnreadableInput, match=r"mine\.yaml") as refused:
        read_workload(file)
    assert told in refused.value.message and "\n" not in refused.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="No such file"):
        find_workload(str(tmp_path / "gone.yaml"))
    with pytest.raises(UnreadableInput, match="no workload profile is there"):
        load_workloads(tmp_path)


def test_all_zero_steps_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    file.write_text(
        "\n".join(line.split(":")[0] + ": 0" if "_s_per_sample:" in line and line[0] == " " else line for line in lines)
    )
    with pytest.raises(UnreadableInput, match="its three parts are all 0"):
        find_workload(str(file))


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    """YAML 1.1 takes 1e9 for text; what may be left out may be."""
    file = tmp_path / "mine.yaml"
    text = SHIPPED.read_text(encoding="utf-8").replace("parameters: 25560000", "parameters: 2.556e7")
    text = text.replace("flops_per_sample: 24660000000", "flops_per_sample: 2466e7")
    text = text[: text.index("# The published row")]
    file.write_text(text, encoding="utf-8")
    found = find_workload(str(file))
    assert found.parameters == 25.56e6 and found.flops_per_sample == 24.66e9
    assert found.measured is None and found.notes == {}


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("name: resnet50-imagenet", "name: mine"), encoding="utf-8")
    assert list(load_workloads(tmp_path)) == ["mine"]
    (tmp_path / "other.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableInput, match=r"other\.yaml: name: 'resnet50-imagenet' is not the file's name"):
        load_workloads(tmp_path)
