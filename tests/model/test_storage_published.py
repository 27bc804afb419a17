"""The check against published tables: on small tables written here, and on the real ones where they are at hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from benchmarks.published.outcome import summary
from benchmarks.published.storage import CALIBRATION, outcomes
from benchmarks.published.storage_fit import fit, read_points

from mlscale.calibration.storage import read_storage_constants
from mlscale.errors import UnreadableInput

PUBLISHED = Path(__file__).parents[3] / "shared" / "validation"


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    with (folder / name).open("w", encoding="utf-8", newline="") as lines:
        out = csv.DictWriter(lines, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def run(count: int, samples_per_s: float, **more: object) -> dict[str, object]:
    return {
        "submitter": "somebody",
        "system": "box",
        "workload": "resnet50",
        "emulated_accelerator": "h100",
        "num_accelerators": count,
        "num_hosts": 1,
        "batch_size": 400,
        "computation_time_s": 0.2,
        "samples_per_s": samples_per_s,
    } | more


def test_one_row_is_in_and_each_other_configuration_is_predicted(tmp_path: Path) -> None:
    repeated = [run(8, rate) for rate in (15_000, 15_100, 14_900)]
    write(tmp_path, "mlperf_storage_v1.0_runs.csv", [run(2, 3900), run(2, 3950), *repeated, run(4, 0)])
    (found,) = outcomes(tmp_path)
    assert found.what == "8 x h100, 1 hosts" and found.truth == 15_000
    assert found.naive == pytest.approx(4 * 3900)  # of the first row
    assert 0.8 * 16_000 < found.predicted < found.naive
    assert found.low < found.predicted < found.high


def test_a_saturated_loader_stays_at_its_rate(tmp_path: Path) -> None:
    plain = {"cpu": "(24 cores/48 threads per node)", "model": "m", "n_nodes": 1, "concurrency": ""}
    rows = [
        {**plain, "loader": name, "total_workers_flag_per_node": workers, "gpus_per_node": gpus, "images_per_s": rate}
        for name, workers, gpus, rate in (("a", 8, 8, 1000), ("a", 8, 4, 1000), ("b", 48, 8, 2900), ("b", 48, 4, 1450))
    ]
    write(tmp_path, "loader_worker_sweeps.csv", [{**row, "concurrency_kind": "", "value": ""} for row in rows])
    of_a = [found for found in outcomes(tmp_path) if found.group == "a m"]
    assert [found.what for found in of_a] == ["8 workers, 1 x 4 GPUs"]
    assert of_a[0].predicted == pytest.approx(950, rel=0.05)


def test_no_tables_no_outcomes(tmp_path: Path) -> None:
    assert outcomes(tmp_path) == []


def test_the_shipped_constants_are_those_of_the_shipped_points() -> None:
    shipped = read_storage_constants(CALIBRATION)
    for name, value in fit(read_points(), shipped.coupling_power).items():
        assert getattr(shipped, name) == pytest.approx(value, rel=0.02), name


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="published measurements are not here")
def test_published_rows_are_met() -> None:
    told = summary(outcomes(PUBLISHED))
    assert told["n"] and told["n"] > 100
    assert told["median_abs_error"] is not None and told["median_abs_error"] < 0.06
    assert told["interval_coverage"] is not None and 0.85 <= told["interval_coverage"] <= 0.96
    assert told["naive_median_abs_error"] is not None and told["naive_median_abs_error"] > 0.1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("start_s:", "start_sec:"), "start_sec: no such constant; nearest: start_s"),
        (("value: 300", "value: -3"), "start_s: value: a positive number was expected, not -3"),
        (("value: 300", "value: soon"), "start_s: value: a positive number was expected, not 'soon'"),
        (("  value: 300\n", ""), "start_s: value is missing"),
        (("start_s:", "start_s: ["), "not YAML"),
    ],
)
def test_a_wrong_calibration_is_one_clear_line(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    text = CALIBRATION.read_text(encoding="utf-8")
    assert change[0] in text
    path = tmp_path / "storage.yaml"
    path.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(UnreadableInput) as told:
        read_storage_constants(path)
    assert complaint in told.value.message and "\n" not in told.value.message and str(path) in told.value.message
