"""The shipped facts against the reference tables that they were typed from, value by value, and against each other."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlscale.catalog.answers import bandwidth_bytes_per_s
from mlscale.catalog.read import load, profiles
from mlscale.catalog.types import Instance

SHARED = Path(__file__).parents[3] / "shared"
REFERENCE = SHARED / "reference"
ABSENT = f"the reference tables are not at {REFERENCE}"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason=ABSENT)
CATALOG = load()
REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1")
GIB, GB, MB, GBIT, TERA = 2.0**30, 1e9, 1e6, 1.25e8, 1e12

Row = Mapping[str, str]


def table(name: str) -> list[Row]:
    path = REFERENCE / name
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def each(key: str, rows: Iterable[Row]) -> list[Any]:
    """A parameter for each row, named by one column; one that is skipped where there is no table."""
    return [pytest.param(row, id=row[key]) for row in rows] or [
        pytest.param({}, id="none", marks=pytest.mark.skip(reason=ABSENT))
    ]


def cell(row: Row, column: str) -> float | None:
    return float(row[column]) if row[column] else None


def same(ours: float | None, theirs: float | None, unit: float = 1.0, within: float = 1e-3) -> bool:
    """Equal but for the rounding of the tables; None only where they have none either."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return ours == pytest.approx(theirs * unit, rel=within)


INSTANCES = {row["name"]: row for row in table("instances.csv")}
HOSTS = {row["name"]: row for row in table("hosts.csv")}
# The reference has the sum of two network cards, of which each can carry all that EC2 gives to the instance.
CARDS_SUMMED = ("c6in.32xlarge", "c6in.metal", "i8ge.48xlarge", "i8ge.metal-48xl", "m6idn.32xlarge", "m6idn.metal")


@needs_reference
def test_every_type_is_there() -> None:
    assert len(INSTANCES) > 90
    assert CATALOG.instances.keys() == INSTANCES.keys()
    assert CATALOG.hosts.keys() == HOSTS.keys()
    assert {name for name, item in CATALOG.instances.items() if item.retired} == {
        name for name, row in INSTANCES.items() if row["status"] == "retired"
    }


@pytest.mark.parametrize("row", each("name", INSTANCES.values()))
def test_a_type_says_what_the_reference_says(row: Row) -> None:
    name = row["name"]
    ours = CATALOG.instances[name]
    assert (ours.family, ours.accelerator) == (row["family"], row["gpu_model"])
    assert ours.vcpus == float(row["vcpus"])
    assert same(ours.memory_bytes, cell(row, "memory_gib"), GIB)
    assert same(ours.accelerators, cell(row, "gpu_count"))
    assert same(ours.network_bytes_per_s, cell(row, "network_gbps_baseline"), GBIT)
    assert same(ours.network_peak_bytes_per_s, cell(row, "network_gbps_peak"), GBIT)
    assert ours.efa == (row["efa"] == "True")
    assert ours.placement_group == (row["placement_group"] == "True")
    assert ours.regions == tuple(row["regions"].split())
    if name == "p6e-gb200.36xlarge":  # the reference has no more of it: these are from elsewhere, and say so
        assert ours.source is not None and ours.source.confidence == "low"
        return
    assert ours.cores == float(row["physical_cores"])
    assert ours.efa_interfaces == (cell(row, "efa_max_interfaces") or 0)
    assert same(ours.ebs_bytes_per_s, cell(row, "ebs_baseline_mbps"), MB)
    assert same(ours.ebs_peak_bytes_per_s, cell(row, "ebs_max_mbps"), MB)
    assert same(ours.ebs_iops, cell(row, "ebs_baseline_iops"))
    assert same(ours.ebs_peak_iops, cell(row, "ebs_max_iops"))
    assert same(ours.nvme_bytes, cell(row, "nvme_gb") or 0.0, GB)
    assert ours.nvme_devices == (cell(row, "nvme_count") or 0)
    if row["nvme_read_iops_4k"]:
        assert same(ours.nvme_iops, cell(row, "nvme_read_iops_4k"))
        assert ours.sources["nvme_iops"].date.year in (2023, 2025)
    assert ours.source is not None
    recorded = re.search(r"\d{4}-\d\d-\d\d", row["spec_source"])
    assert recorded is None or ours.source.date == date.fromisoformat(recorded[0])


@pytest.mark.parametrize("row", each("name", INSTANCES.values()))
def test_prices_are_those_that_may_be_shipped(row: Row) -> None:
    name = row["name"]
    ours = CATALOG.instances[name]
    for region in REGIONS:
        code, theirs, price = row[f"src_{region}"], cell(row, f"ondemand_usd_{region}"), ours.on_demand.get(region)
        if code in ("K", "S", "L"):
            assert price is not None and not price.derived and price.usd_per_hour == theirs
        elif code in ("D", "L/1.1"):
            assert price is not None and price.derived and same(price.usd_per_hour, theirs, within=2e-3)
        elif code == "C":  # a share-alike database: checked against, never copied
            assert price is None or (price.derived and same(price.usd_per_hour, theirs, within=2e-3))
            assert price is not None or ours.retired, "a type that can be picked needs its price"
        else:
            assert price is None
        if price is not None and price.derived and code in ("C", "D"):
            ratio = float(re.findall(r"x ([\d.]+),", price.source.name)[0])
            assert price.usd_per_hour == pytest.approx(ours.on_demand["us-east-1"].usd_per_hour * ratio, abs=1e-5)


@needs_reference
def test_spot_prices_are_only_the_observed_ones() -> None:
    seen = {(row["name"], row["region"]): row for row in table("spot.csv")}
    for (name, region), row in seen.items():
        ours, theirs = CATALOG.instances[name].spot.get(region), cell(row, "spot_median_usd")
        assert same(ours and ours.usd_per_hour, theirs)
        bucket = CATALOG.instances[name].interruptions.get(region)
        said = row["advisor_interruption"]
        assert (bucket is None) == (not said)
        if bucket is not None:
            low, high = bucket.least_fraction * 100, bucket.most_fraction and bucket.most_fraction * 100
            shown = f">{low:.0f}%" if high is None else f"<{high:.0f}%" if low == 0 else f"{low:.0f}-{high:.0f}%"
            assert (shown, bucket.source.date) == (said, date.fromisoformat(row["advisor_date"]))
            assert ours is None or ours.interruptions_per_month_fraction is not None
    ours_all = {(item.name, region) for item in CATALOG.instances.values() for region in item.spot}
    assert ours_all == {key for key, row in seen.items() if row["observed"]}


@pytest.mark.parametrize("row", each("name", HOSTS.values()))
def test_a_host_says_what_the_reference_says(row: Row) -> None:
    ours = CATALOG.hosts[row["name"]]
    cards = 2 if row["name"] in CARDS_SUMMED else 1
    assert (ours.family, ours.accelerator, ours.accelerators) == (row["family"], None, 0)
    assert ours.vcpus == float(row["vcpus"]) and ours.vcpus / ours.cores in (1, 2)
    assert (ours.vcpus == ours.cores) == (row["arch"] == "arm64" or row["family"] == "c7a")
    assert same(ours.memory_bytes, cell(row, "memory_gib"), GIB)
    assert same(ours.network_bytes_per_s, cell(row, "network_gbps_baseline"), GBIT / cards)
    assert same(ours.network_peak_bytes_per_s, cell(row, "network_gbps_peak"), GBIT / cards)
    assert ours.efa == (row["efa"] == "True")
    assert same(ours.ebs_bytes_per_s, cell(row, "ebs_baseline_mbps"), MB)
    assert same(ours.ebs_peak_bytes_per_s, cell(row, "ebs_max_mbps"), MB)
    assert same(ours.nvme_bytes, cell(row, "nvme_gb") or 0.0, GB)
    assert ours.nvme_devices == (cell(row, "nvme_count") or 0)
    assert same(ours.on_demand["us-east-1"].usd_per_hour, cell(row, "ondemand_usd_us-east-1"))
    assert all(price.derived for region, price in ours.on_demand.items() if region != "us-east-1")
    if (theirs := cell(row, "ondemand_usd_us-west-2")) is not None and "us-west-2" in ours.on_demand:
        assert same(ours.on_demand["us-west-2"].usd_per_hour, theirs)


def test_networks_are_what_ec2_answers() -> None:
    """DescribeInstanceTypes as moto has recorded it, read as `catalog refresh` reads it."""
    import moto

    recorded = Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz"
    answers = json.loads(gzip.decompress(recorded.read_bytes()))
    known = [item for item in (*CATALOG.hosts.values(), *CATALOG.instances.values()) if item.name in answers]
    assert len(known) > 200
    for item in known:
        baseline, peak = bandwidth_bytes_per_s(answers[item.name]["NetworkInfo"])
        assert baseline is None or same(item.network_bytes_per_s, baseline, within=0.01), item.name
        assert peak is None or same(item.network_peak_bytes_per_s, peak, within=0.01), item.name


@pytest.mark.parametrize("row", each("gpu_model", table("gpus.csv")))
def test_an_accelerator_says_what_the_reference_says(row: Row) -> None:
    name = row["gpu_model"]
    ours = CATALOG.accelerators[name]
    assert (ours.vendor, ours.architecture) == (row["vendor"], row["architecture"])
    reported = {
        float(r["gpu_mem_gib"]) / min(1, float(r["gpu_count"])) for r in INSTANCES.values() if r["gpu_model"] == name
    }
    assert any(same(ours.memory_bytes, each, GIB) for each in reported)
    # A vendor's GB is 10^9 or 2^30 bytes; EC2 reports up to a few per cent of either.
    sheet = float(row["mem_gb"])
    assert sheet * GB * 0.98 <= ours.memory_bytes <= sheet * GIB * 1.01
    assert same(ours.memory_bytes_per_s, cell(row, "mem_bw_gbs"), GB)
    columns = {"fp32": "fp32_tflops"} | {p: f"{p}_dense_tflops" for p in ("tf32", "fp16", "bf16", "fp8")}
    theirs = {precision: cell(row, column) for precision, column in columns.items()}
    assert dict(ours.peak_flops) == pytest.approx({p: rate * TERA for p, rate in theirs.items() if rate}, rel=1e-3)
    assert same(ours.power_w, cell(row, "tdp_w"))
    assert ours.source.confidence == row["confidence"]
    lane = {3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}[int(row["pcie_gen"])]
    assert same(ours.pcie_bytes_per_s, lane * float(row["pcie_lanes"]), GB, within=0.01)
    if name == "Inferentia":  # the Neuron documentation has a link where the reference has none
        assert ours.link_bytes_per_s == pytest.approx(32 * GIB, rel=1e-3) and "32 GiB/s" in ours.note
    else:
        both_ways = float(row["link_gbs_per_gpu_bidir"])
        assert same(ours.link_bytes_per_s, both_ways / 2 if both_ways else None, GB)
        assert (ours.link == "none") == (row["link_type"] == "none")


@needs_reference
def test_every_accelerator_and_file_system_is_there() -> None:
    assert CATALOG.accelerators.keys() == {row["gpu_model"] for row in table("gpus.csv")}
    assert CATALOG.file_systems.keys() == {row["id"] for row in table("filesystems.csv")}


# Where the file has more, or in another unit, than the reference; each is said in the entry's note.
AS_READ = {  # (file system, field): what the reference's figure is multiplied by
    ("efs-provisioned", "usd_per_bytes_per_s_month"): 1 / 3 / 1.048576,  # reads meter a third; MiB to MB
    ("ebs-gp3", "usd_per_bytes_per_s_month"): 1 / 1.048576,
}
MORE = {  # fields that the reference leaves out
    "efs-provisioned": {"bytes_per_s_per_tib"},
    "efs-onezone": {"bytes_per_s_per_tib", "burst_bytes_per_s_per_tib"},
    "fsx-lustre-p1-ssd-50": {"stream_bytes_per_s", "read_latency_s"},
    "fsx-lustre-p1-ssd-100": {"stream_bytes_per_s", "read_latency_s"},
    "fsx-lustre-p1-ssd-200": {"stream_bytes_per_s", "read_latency_s"},
    "fsx-lustre-p1-hdd-12": {"stream_bytes_per_s"},
    "fsx-lustre-p1-hdd-40": {"stream_bytes_per_s"},
    "fsx-lustre-int": {"stream_bytes_per_s"},
    "beegfs": {"usd_per_gb_month"},  # 0: its servers are paid for
}
COLUMNS = {
    "size_min_bytes": ("cap_min_gib", GIB),
    "size_step_bytes": ("cap_step_gib", GIB),
    "size_max_bytes": ("cap_max_gib", GIB),
    "bytes_per_s_per_tib": ("read_mbps_per_tib", MB),
    "burst_bytes_per_s_per_tib": ("burst_mbps_per_tib", MB),
    "max_bytes_per_s": ("fs_read_max_mbps", MB),
    "client_bytes_per_s": ("client_max_mbps", MB),
    "stream_bytes_per_s": ("stream_max_mbps", MB),
    "read_iops": ("read_iops_max", 1.0),
    "read_latency_s": ("read_latency_ms", 1e-3),
    "usd_per_gb_month": ("usd_gb_month", 1.0),
    "usd_per_bytes_per_s_month": ("usd_mbps_month", 1 / MB),
    "usd_per_iops_month": ("usd_iops_month", 1.0),
    "usd_per_gb_read": ("usd_read_gb", 1.0),
    "usd_per_1k_reads": ("usd_get_1k", 1.0),
    "usd_per_1k_writes": ("usd_put_1k", 1.0),
}


@pytest.mark.parametrize("row", each("id", table("filesystems.csv")))
def test_a_file_system_says_what_the_reference_says(row: Row) -> None:
    ours = CATALOG.file_systems[row["id"]]
    assert ours.kind == row["kind"]
    assert ours.shared == (row["shared"] == "True")
    assert ours.durable == (row["durable"] in ("True", "one AZ", "multi AZ"))
    for field, (column, unit) in COLUMNS.items():
        value, theirs = getattr(ours, field), cell(row, column)
        if theirs is None and field in MORE.get(row["id"], ()):
            assert value is not None and ours.note
            continue
        factor = AS_READ.get((row["id"], field), 1.0)
        assert same(value, theirs, unit * factor), (field, value, theirs)
    assert {"high": 2, "medium": 1, "low": 0}[ours.source.confidence] <= {"high": 2, "medium": 1, "low": 0}[
        row["confidence"]
    ]


def test_gp3_includes_what_aws_includes() -> None:
    gp3 = CATALOG.file_systems["ebs-gp3"]
    assert gp3.included_iops == 3000
    assert gp3.included_bytes_per_s == gp3.base_bytes_per_s == pytest.approx(125 * 2**20, rel=1e-3)


def test_relative_speeds_are_the_papers() -> None:
    paper = SHARED / "whitepaper.txt"
    if not paper.is_file():
        pytest.skip(f"the white paper is not at {paper}")
    text = paper.read_text(encoding="utf-8").partition("Table 1")[2]
    told = {name.removeprefix("Amazon "): speed for name, speed in re.findall(r"^([\w ]+)\t([<>]?[\d.]+)$", text, re.M)}
    covers = {"S3": "s3-standard", "EFS": "efs-", "EBS": "ebs-gp3", "NVMe": "instance-nvme", "RAMDisk": "ram-disk"}
    covers |= {"BeeGFS": "beegfs", "FSx": "fsx-lustre-p2"}
    assert told.keys() == covers.keys()
    for name, speed in told.items():
        for store in (item for key, item in CATALOG.file_systems.items() if key.startswith(covers[name])):
            assert store.relative_speed == (None if speed[0] == "<" else float(speed.lstrip(">")))
            assert store.sources["relative_speed"].date.year == 2019
            assert speed[0] not in "<>" or "paper" in store.note


EVERY = [*CATALOG.instances.values(), *CATALOG.hosts.values()]


@pytest.mark.parametrize("item", EVERY, ids=lambda item: item.name)
def test_facts_of_a_type_agree_with_each_other(item: Instance) -> None:
    assert item.network_peak_bytes_per_s >= item.network_bytes_per_s > 0
    assert item.ebs_bytes_per_s is not None and item.ebs_peak_bytes_per_s is not None
    assert item.ebs_peak_bytes_per_s >= item.ebs_bytes_per_s
    assert item.efa == (item.efa_interfaces > 0)
    assert (item.nvme_bytes > 0) == (item.nvme_devices > 0)
    assert (item.interconnect == "none") == (item.accelerators <= 1)
    assert item.source is not None and item.source.date <= date(2026, 11, 25)
    for region, price in item.on_demand.items():
        assert item.retired or region in item.regions, f"a price in {region}, where it is not offered"
        assert price.source.name and price.source.date <= date(2026, 11, 25)
        assert price.derived == ("x " in price.source.name or "divided" in price.source.name)
    for region, spot in item.spot.items():
        assert region in item.regions
        assert region not in item.on_demand or spot.usd_per_hour <= item.on_demand[region].usd_per_hour
    if item.accelerator and item.interconnect in ("nvlink", "nvswitch", "neuronlink"):
        assert CATALOG.accelerators[item.accelerator].link_bytes_per_s
    if item.interconnect == "pcie":
        assert CATALOG.accelerators[item.accelerator or ""].link_bytes_per_s is None


def test_eight_gpus_are_linked_as_their_node_links_them() -> None:
    linked = {name: CATALOG.instances[name].interconnect for name in CATALOG.instances}
    assert linked["p3.16xlarge"] == linked["p3dn.24xlarge"] == "nvlink"
    for name in ("p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge", "p5en.48xlarge", "p6-b200.48xlarge"):
        assert linked[name] == "nvswitch"
    for name in ("g5.48xlarge", "g6.48xlarge", "g6e.48xlarge", "g7e.48xlarge", "p2.16xlarge", "g4dn.metal"):
        assert linked[name] == "pcie"
    assert linked["trn1.32xlarge"] == "neuronlink" and linked["p5.4xlarge"] == linked["g6f.large"] == "none"


def test_files_are_named_by_their_family() -> None:
    files = {path.stem for path in (profiles() / "instances").glob("*.yaml")}
    assert files == {item.family for item in CATALOG.instances.values()}


def test_the_oldest_price_dates_the_catalog() -> None:
    current = [item for item in CATALOG.instances.values() if not item.retired]
    assert CATALOG.taken == min(price.source.date for item in current for price in item.on_demand.values())
