"""Reading the catalog: what a wrong file is told, where the shipped files are found, how long it takes, what is too old."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from mlscale.catalog.age import ON_DEMAND_DAYS, P_FAMILIES_DAYS, stale, usable_spot
from mlscale.catalog.read import file_systems_of, find_accelerator, find_file_system, find_instance, load, profiles
from mlscale.catalog.types import Source, SpotPrice
from mlscale.errors import UnreadableInput, UsageProblem

CATALOG = load()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small copy of the shipped facts, to be spoilt."""
    (tmp_path / "instances").mkdir()
    for name in ("instances/g5.yaml", "instances/p3.yaml", "accelerators.yaml", "filesystems.yaml", "hosts.yaml"):
        shutil.copy(profiles() / name, tmp_path / name)
    return tmp_path


def refused(folder: Path) -> str:
    """The one line that a spoilt folder is told."""
    with pytest.raises(UnreadableInput) as caught:
        load(folder)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_folder_is_read(folder: Path) -> None:
    catalog = load(folder)
    assert {item.family for item in catalog.instances.values()} == {"g5", "p3"}
    assert catalog.instances["g5.xlarge"] == CATALOG.instances["g5.xlarge"]
    assert catalog.hosts == CATALOG.hosts and catalog.path == str(folder)
    assert catalog.taken == date(2026, 7, 20)  # of g5; p3 is retired


SPOILT = {
    "unknown key": (
        "instances/g5.yaml", "    vcpus: 4\n", "    vcpu: 4\n",
        "types.g5.xlarge.vcpu is not a key that belongs there. Did you mean vcpus?",
    ),
    "missing key": ("instances/g5.yaml", "    cores: 2\n", "", "types.g5.xlarge.cores is missing: a whole number is needed."),
    "text for a number": (
        "instances/g5.yaml", "memory_gib: 16\n", "memory_gib: much\n",
        "types.g5.xlarge.memory_gib must be a number, not 'much'.",
    ),
    "truth for a number": (
        "instances/g5.yaml", "memory_gib: 16\n", "memory_gib: true\n",
        "types.g5.xlarge.memory_gib must be a number, not True.",
    ),
    "half a CPU": (
        "instances/g5.yaml", "vcpus: 4\n", "vcpus: 4.5\n",
        "types.g5.xlarge.vcpus must be a whole number of 0 or more, not 4.5.",
    ),
    "negative": (
        "instances/g5.yaml", "memory_gib: 16\n", "memory_gib: -16\n",
        "types.g5.xlarge.memory_gib must be a number of 0 or more, not -16.",
    ),
    "not a number": (
        "instances/g5.yaml", "memory_gib: 16\n", "memory_gib: .nan\n",
        "types.g5.xlarge.memory_gib must be a number of 0 or more, not nan.",
    ),
    "endless": (
        "instances/g5.yaml", "memory_gib: 16\n", "memory_gib: .inf\n",
        "types.g5.xlarge.memory_gib must be a number of 0 or more, not inf.",
    ),
    "a price of nothing": (
        "instances/g5.yaml", "{usd: 1.006, source: karpenter}", "{usd: 0, source: karpenter}",
        "types.g5.xlarge.on_demand_usd_per_hour.us-east-1.usd must be more than 0, not 0.",
    ),
    "a price without a source": (
        "instances/g5.yaml", "{usd: 1.006, source: karpenter}", "{usd: 1.006}",
        "types.g5.xlarge.on_demand_usd_per_hour.us-east-1.source is missing: text is needed.",
    ),
    "unknown source": (
        "instances/g5.yaml", "{usd: 1.006, source: karpenter}", "{usd: 1.006, source: karpentr}",
        "types.g5.xlarge.on_demand_usd_per_hour.us-east-1.source names 'karpentr', which is not in 'sources'. "
        "Did you mean karpenter?",
    ),
    "unknown accelerator": (
        "instances/g5.yaml", "accelerator: A10G\n", "accelerator: A10\n",
        "accelerator names 'A10', which is not in accelerators.yaml. Did you mean A10G",
    ),
    "unknown interconnect": (
        "instances/p3.yaml", "interconnect: nvlink", "interconnect: nvlnk",
        "interconnect must be one of none, pcie, nvlink, nvswitch, neuronlink, other, not 'nvlnk'.",
    ),
    "another family's type": (
        "instances/g5.yaml", "  g5.xlarge:\n", "  g6.xlarge:\n",
        "types.g6.xlarge is not a type of the family 'g5'. Put it in the file of its own family.",
    ),
    "a key twice": (
        "instances/g5.yaml", "    cores: 2\n", "    cores: 2\n    cores: 2\n", "types.g5.xlarge.cores is there twice.",
    ),
    "a type twice": ("instances/g5.yaml", "  g5.2xlarge:\n", "  g5.xlarge:\n", "types.g5.xlarge is there twice."),
    "a bucket": (
        "instances/g5.yaml", "us-east-1: 15-20", "us-east-1: 20-15",
        "interruptions_percent_per_month.us-east-1 must be a bucket in percent, as in 5-10 or 20+, not '20-15'.",
    ),
    "regions": (
        "instances/g5.yaml", "  regions: [", "  regions: us-east-1\n  rest: [",
        "common.rest is not a key that belongs there.",
    ),
    "a date": (
        "accelerators.yaml", "date: 2026-11-23}", "date: 2026-11-31}",
        "source.date must be a date, as in 2026-07-20, not '2026-11-31'.",
    ),
    "a precision": (
        "accelerators.yaml", "{fp32: 4.37}", "{fp64: 4.37}",
        "accelerators.K80.dense_tflops.fp64 is not a key that belongs there. Did you mean",
    ),
    "confidence": (
        "accelerators.yaml", "confidence: medium", "confidence: sure",
        "accelerators.K80.source.confidence must be one of high, medium, low, not 'sure'.",
    ),
    "a store's kind": (
        "filesystems.yaml", "kind: object", "kind: bucket",
        "file_systems.s3-standard.kind must be one of object, nfs,",
    ),
    "a store's flag": (
        "filesystems.yaml", "shared: true", "shared: yes",
        "file_systems.s3-standard.shared must be true or false, not 'yes'.",
    ),
    "a field's source": (
        "filesystems.yaml", "{relative_speed: paper}", "{relativ_speed: paper}",
        "file_systems.s3-standard.field_sources.relativ_speed is not a key that belongs there. Did you mean relative_speed?",
    ),
    "a list for a mapping": (
        "hosts.yaml", "families:\n", "families: []\nfamilie:\n",
        "familie is not a key that belongs there. Did you mean families?",
    ),
    "no YAML": ("hosts.yaml", "families:\n", "families: {\n", "this is not YAML ("),
    "an alias to itself": ("hosts.yaml", "families:\n", "families: &it\n  c6in: *it\n  a: 1\nrest:\n", "c6in"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_wrong_file_is_told_where_and_what(folder: Path, name: str) -> None:
    file, before, after, told = SPOILT[name]
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    line = refused(folder)
    assert line.startswith(str(folder / file))
    assert told in line


def test_numbers_may_be_written_in_any_way(folder: Path) -> None:
    path = folder / "instances" / "g5.yaml"
    path.write_text(path.read_text().replace("memory_gib: 16\n", "memory_gib: 1.6e1\n", 1))
    assert load(folder).instances["g5.xlarge"].memory_bytes == 16 * 2**30


def test_a_type_in_two_files_is_refused(folder: Path) -> None:
    shutil.copy(folder / "instances" / "g5.yaml", folder / "instances" / "g5-mine.yaml")
    assert "g5.xlarge is in another file already" in refused(folder)


def test_missing_and_unreadable_files(folder: Path, tmp_path: Path) -> None:
    (folder / "accelerators.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused(folder)
    (folder / "accelerators.yaml").write_text("", encoding="utf-8")
    assert "a mapping is expected" in refused(folder)
    (folder / "accelerators.yaml").unlink()
    assert "accelerators.yaml: No such file" in refused(folder)
    assert "no file of instance types" in refused(tmp_path / "elsewhere")


def test_names_are_found_however_they_are_written() -> None:
    assert find_instance(CATALOG, " P4D.24xlarge ").name == "p4d.24xlarge"
    assert find_instance(CATALOG, "i3en.large").accelerators == 0
    assert find_accelerator(CATALOG, "NVIDIA A100-SXM4-40GB").name == "A100-40GB"
    assert find_accelerator(CATALOG, "Tesla T4").name == find_accelerator(CATALOG, "nvidia t4").name == "T4"
    assert find_file_system(CATALOG, "ebs-gp3").included_iops == 3000
    assert [store.name for store in file_systems_of(CATALOG, "efs-elastic")] == ["efs-elastic"]
    assert len(file_systems_of(CATALOG, "FSx-Lustre")) == 11


@pytest.mark.parametrize(
    ("find", "name", "told"),
    [
        (find_instance, "p5.48xlrge", "The catalog has no EC2 type 'p5.48xlrge'. Did you mean p5.48xlarge"),
        (find_instance, "p9.quux", "There are: c6in.large, "),
        (find_accelerator, "V100", "Did you mean V100-16GB or V100-32GB?"),
        (find_file_system, "efs-elastik", "Did you mean efs-elastic"),
        (file_systems_of, "gp3", "Did you mean ebs-gp3?"),
    ],
)
def test_unknown_names_get_the_nearest(find, name, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageProblem) as caught:
        find(CATALOG, name)
    assert told in caught.value.message and "\n" not in caught.value.message


def test_prices_grow_old() -> None:
    newest = max(price.source.date for item in CATALOG.instances.values() for price in item.on_demand.values())
    assert newest == date(2026, 7, 20)
    fresh = stale(CATALOG, newest, "us-east-1")
    assert len(fresh) == 1 and "spot prices in us-east-1" in fresh[0]  # seen in February
    p_only = stale(CATALOG, newest + timedelta(days=P_FAMILIES_DAYS + 1), "us-east-1")
    assert [line for line in p_only if "P families" in line] == [p_only[0]] and len(p_only) == 2
    assert len(stale(CATALOG, newest + timedelta(days=ON_DEMAND_DAYS + 1), "us-east-1")) == 3
    assert any("to 5" in line for line in stale(CATALOG, newest + timedelta(days=1)))  # libcloud's, of March 2025
    assert all("mlscale catalog refresh" in line for line in p_only)


@pytest.mark.parametrize(("age", "usable"), [(0, True), (2, True), (3, False), (-1, True), (-2, False), (365, False)])
def test_spot_prices_rank_for_two_days(age: int, usable: bool) -> None:
    today = date(2026, 11, 25)
    assert usable_spot(SpotPrice(1.0, Source("seen", today - timedelta(days=age))), today) is usable


def test_it_is_quick() -> None:
    times = []
    for _ in range(5):
        before = time.process_time()
        load()
        times.append(time.process_time() - before)
    assert min(times) < 0.15


def test_it_is_found_in_an_installed_package(tmp_path: Path) -> None:
    """The wheel has the facts inside the package (pyproject.toml, force-include)."""
    shutil.copytree(ROOT / "src" / "mlscale", tmp_path / "mlscale", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "profiles", tmp_path / "mlscale" / "profiles")
    code = "from mlscale.catalog.read import load; c = load(); print(c.path, len(c.instances))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == [str(tmp_path / "mlscale" / "profiles"), str(len(CATALOG.instances))], done.stderr
    shutil.rmtree(tmp_path / "mlscale" / "profiles")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "the shipped facts are not there" in done.stderr
