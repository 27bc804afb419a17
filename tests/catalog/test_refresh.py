"""A refresh over real HTTP: boto3 asks moto's EC2 and a stub of the Price List; and what a snapshot changes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from mlscale.catalog import answers, snapshot
from mlscale.catalog.aws import ACTIONS, AwsProblem
from mlscale.catalog.merge import merge, warnings
from mlscale.catalog.refresh import Refreshed, kept_parts, refresh
from mlscale.catalog.snapshot import FamilyFacts, Snapshot
from mlscale.catalog.types import Catalog, Source
from mlscale.errors import UnreadableInput, UsageProblem
from tests.catalog.price_list_stub import Stub, product, serving
from tests.catalog.small_catalog import CATALOG, SHIPPED, instance, price
from tests.running import environment

NOW = datetime.now(timezone.utc)
TODAY = NOW.date()
GET_PRODUCTS = "AWSPriceListService.GetProducts"
TYPES, OFFERINGS, SPOT = "DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "DescribeSpotPriceHistory"
PRODUCTS = [
    product("g6.xlarge", "us-east-1", "0.8048000000"),
    product("g6.xlarge", "us-east-1", "0.8853", tenancy="Dedicated"),
    product("g6.xlarge", "us-east-1", "0.0", capacitystatus="AllocatedCapacityReservation"),
    product("g6.xlarge", "us-east-1", "1.1", operatingSystem="Windows"),
    product("g6.2xlarge", "us-east-1", "0.9776"),
    product("g6.48xlarge", "us-east-1", "13.3504"),
    product("p5.48xlarge", "us-east-1", "55.04"),
    product("p5.4xlarge", "us-east-1", "6.88"),
    product("m5.large", "us-east-1", "0.096"),
    product("g6.xlarge", "us-west-2", "0.81"),
]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}/"
    server.stop()


@pytest.fixture
def stub(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    """The stub before moto, and an environment in which boto3 finds it, and nothing of this machine's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with serving(Stub(ec2=moto, products=list(PRODUCTS))) as stub:
        settings = {
            "AWS_ENDPOINT_URL_EC2": stub.url,
            "AWS_ENDPOINT_URL_PRICING": stub.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "MLSCALE_DATA_DIR": str(tmp_path / "data"),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield stub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def refreshed(
    folder: Path, *families: str, regions: tuple[str, ...] = ("us-east-1",), now: datetime = NOW
) -> Refreshed:
    return refresh(CATALOG, regions, families or ("g6", "p5"), folder, now, lambda step: None)


def command(regions: str, families: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "tests.catalog.small_catalog", regions, families, *more]


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with this test's settings."""
    options = {"env": environment(), "capture_output": True, "text": True, "timeout": 120, "check": False, **more}
    return subprocess.run(command(*arguments), **options)  # type: ignore[call-overload, no-any-return]


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """A failure: nothing on stdout, exit code 2, and as the last line of stderr the only one that is not progress."""
    assert result.returncode == 2, result
    assert result.stdout == ""
    *progress, last = result.stderr.splitlines()
    assert all(" of 3: us-east-1: " in line for line in progress), result.stderr
    return last


# --- a refresh that goes well -----------------------------------------------------------------------------------------


def test_types_prices_and_specs_come_in(stub: Stub, folder: Path) -> None:
    done = refreshed(folder)
    catalog = done.after
    assert {"g6.2xlarge", "g6.48xlarge", "p5.4xlarge"} <= catalog.instances.keys() - CATALOG.instances.keys()
    assert "g6e.xlarge" not in catalog.instances and "m5.large" not in catalog.instances
    now = catalog.instances["g6.xlarge"]
    assert now.on_demand["us-east-1"].usd_per_hour == 0.8048
    assert now.on_demand["us-east-1"].source == Source("AWS Price List", TODAY)
    assert now.on_demand["us-west-2"] == price(0.8048)  # that region was not asked for
    assert (now.vcpus, now.cores, now.memory_bytes) == (4, 2, 16 * 2**30)
    assert (now.network_bytes_per_s, now.network_peak_bytes_per_s) == (2.5e9 / 8, 10e9 / 8)
    assert (now.nvme_bytes, now.nvme_devices, now.nvme_iops) == (250e9, 1, 12345.0)
    assert now.source == Source("EC2 DescribeInstanceTypes", TODAY)
    assert now.regions == ("us-east-1", "us-west-2")
    new = catalog.instances["g6.48xlarge"]
    assert (new.accelerator, new.accelerators, new.interconnect) == ("L4", 8, "pcie")  # as g6.12xlarge
    assert new.regions == ("us-east-1",) and not new.retired
    assert catalog.instances["p5.4xlarge"].interconnect == "none"
    assert catalog.instances["p5.48xlarge"].interconnect == "nvswitch"
    assert catalog.instances["p5.48xlarge"].efa_interfaces == 32


def test_a_type_that_the_price_list_misses_keeps_its_price_and_date(stub: Stub, folder: Path) -> None:
    now = refreshed(folder).after
    assert now.instances["g6.12xlarge"].on_demand["us-east-1"] == price(4.6016)
    assert now.taken == SHIPPED.date  # the oldest price that may be picked


def test_the_price_list_is_read_page_by_page_with_its_filters(stub: Stub, folder: Path) -> None:
    assert refreshed(folder).prices == 5
    assert stub.count(GET_PRODUCTS) == 2  # six of the ten products pass the filters, three a page
    assert {region for action, region in stub.asked if action == GET_PRODUCTS} == {"us-east-1"}


def test_nothing_but_the_four_questions_is_sent(stub: Stub, folder: Path) -> None:
    refreshed(folder)
    named = {action.rpartition(".")[2] for action, _ in stub.asked}
    assert named == {action.partition(":")[2] for action in ACTIONS}


def test_the_snapshot_reads_back_as_it_was(stub: Stub, folder: Path) -> None:
    done = refreshed(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["catalog.json", "refresh.lock"]
    read = snapshot.read(folder)
    assert read == done.snapshot
    assert merge(CATALOG, read) == done.after


def test_another_region_later_keeps_the_first(stub: Stub, folder: Path) -> None:
    first = refreshed(folder, "g6").after.instances["g6.xlarge"]
    both = refreshed(folder, "g6", regions=("us-west-2",)).after.instances["g6.xlarge"]
    assert both.on_demand["us-east-1"] == first.on_demand["us-east-1"]
    assert both.on_demand["us-west-2"].usd_per_hour == 0.81


@pytest.mark.slow
def test_all_families_of_the_catalogs_own_regions(stub: Stub, folder: Path) -> None:
    done = refresh(CATALOG, (), (), folder, NOW, lambda step: None)
    assert done.regions == ("us-east-1", "us-west-2")
    now = done.after.instances
    assert len(now) > 70
    assert not any(name.startswith(("f2.", "vt1.", "m5.")) for name in now)  # FPGAs, video chips, plain types
    assert now["g6e.48xlarge"].network_bytes_per_s == 400e9 / 8
    assert (now["p4d.24xlarge"].accelerator, now["p4de.24xlarge"].accelerator) == ("A100-40GB", "A100-80GB")
    assert (now["g6f.4xlarge"].accelerator, now["g6f.4xlarge"].accelerators) == ("L4", 0.5)
    assert now["g7e.8xlarge"].accelerator == "RTX-PRO-6000-Server"  # EC2: "RTX PRO Server 6000"
    assert now["p5en.48xlarge"].accelerator is None  # this catalog has no H200
    assert now["g3.gone"].retired and now["g3.gone"].regions == ()
    assert not now["trn2u.48xlarge"].retired  # no region that had it was read
    assert any(
        "p5en.48xlarge: the catalog has no data sheet of its accelerator, H200" in w
        for w in warnings(CATALOG, done.snapshot)
    )


# --- spot prices ------------------------------------------------------------------------------------------------------


def test_motos_placeholders_are_refused_and_that_is_said(stub: Stub, folder: Path) -> None:
    done = refreshed(folder)
    assert done.spot == 0
    assert done.after.instances["g6.xlarge"].spot == CATALOG.instances["g6.xlarge"].spot
    (line,) = [note for note in done.notes if "spot" in note]
    assert "older than 2 days" in line and "$1e-05 an hour of 2006-01-02" in line


def test_fresh_spot_prices_are_taken_and_odd_ones_are_not(stub: Stub, folder: Path) -> None:
    hour_ago = NOW - timedelta(hours=1)
    stub.spot = {
        "g6.xlarge": (0.35, hour_ago),
        "g6.2xlarge": (0.00001, hour_ago),
        "p5.48xlarge": (300.0, hour_ago),
        "p5.4xlarge": (3.1, NOW - timedelta(days=3)),
    }
    done = refreshed(folder)
    now = done.after.instances
    assert now["g6.xlarge"].spot["us-east-1"].usd_per_hour == 0.35
    assert now["g6.xlarge"].spot["us-east-1"].source.date == TODAY
    assert now["g6.xlarge"].spot["us-east-1"].interruptions_per_month_fraction == 0.1  # EC2 does not tell; it stays
    assert not now["g6.2xlarge"].spot and not now["p5.48xlarge"].spot and not now["p5.4xlarge"].spot
    said = " ".join(done.notes)
    assert all(why in said for why in ("below 5% of on demand", "above 400% of on demand", "older than 2 days"))


# --- failures, and going on -------------------------------------------------------------------------------------------


def test_after_a_failure_it_goes_on_where_it_stopped(stub: Stub, folder: Path) -> None:
    stub.failures[GET_PRODUCTS] = ["400:AccessDeniedException"]
    with pytest.raises(AwsProblem, match="pricing:GetProducts in us-east-1: not permitted"):
        refreshed(folder)
    assert snapshot.read(folder) is None and kept_parts(folder) == 1
    stub.asked.clear()
    done = refreshed(folder, now=NOW + timedelta(hours=23))
    assert done.kept == 1
    assert stub.count(TYPES) == stub.count(OFFERINGS) == 0
    assert done.after.instances["g6.xlarge"].on_demand["us-east-1"].source.date == TODAY  # the day of its oldest part
    assert kept_parts(folder) == 0


@pytest.mark.parametrize(("families", "later"), [(("g6",), timedelta()), (("g6", "p5"), timedelta(hours=25))])
def test_what_is_kept_is_not_used_for_something_else_or_a_day_later(
    stub: Stub, folder: Path, families: tuple[str, ...], later: timedelta
) -> None:
    stub.failures[SPOT] = ["403:UnauthorizedOperation"]
    with pytest.raises(AwsProblem):
        refreshed(folder)
    stub.asked.clear()
    assert refreshed(folder, *families, now=NOW + later).kept == 0
    assert stub.count(TYPES) == 1


def test_a_broken_part_is_read_anew(stub: Stub, folder: Path) -> None:
    (folder / "refresh.part").mkdir(parents=True)
    (folder / "refresh.part" / "us-east-1.types.json").write_text('{"read": "2026-')
    assert refreshed(folder).kept == 0


@pytest.mark.slow
@pytest.mark.parametrize("failure", ["400:ThrottlingException", "500:InternalFailure", "cut"])
def test_a_passing_failure_is_got_over(stub: Stub, folder: Path, failure: str) -> None:
    stub.failures[GET_PRODUCTS] = [failure, failure]
    assert refreshed(folder).prices == 5
    assert stub.count(GET_PRODUCTS) == 4
    assert not stub.failures[GET_PRODUCTS]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "failure", "told"),
    [
        (TYPES, "503:RequestLimitExceeded", "AWS asks to slow down"),
        (GET_PRODUCTS, "400:ThrottlingException", "AWS asks to slow down"),
        (GET_PRODUCTS, "500:InternalErrorException", "AWS has a fault"),
        (GET_PRODUCTS, "cut", "the answer is cut off"),
    ],
)
def test_a_lasting_failure_is_named(stub: Stub, folder: Path, action: str, failure: str, told: str) -> None:
    stub.failures[action] = [failure] * 9
    with pytest.raises(AwsProblem, match=told):
        refreshed(folder)
    assert stub.count(action) == (3 if failure == "cut" else 4)


@pytest.mark.parametrize(
    ("action", "failure", "told"),
    [
        (TYPES, "403:UnauthorizedOperation", "Allow ec2:DescribeInstanceTypes in an IAM policy"),
        (OFFERINGS, "403:UnauthorizedOperation", "Allow ec2:DescribeInstanceTypeOfferings in an IAM policy"),
        (SPOT, "403:UnauthorizedOperation", "Allow ec2:DescribeSpotPriceHistory in an IAM policy"),
        (GET_PRODUCTS, "400:AccessDeniedException", "Allow pricing:GetProducts in an IAM policy"),
        (TYPES, "401:AuthFailure", "does not accept these credentials"),
        (GET_PRODUCTS, "400:ExpiredTokenException", "credentials have expired"),
        (GET_PRODUCTS, "400:InvalidParameterException", "AWS refused"),
        (GET_PRODUCTS, "garbage", "not what AWS's API says"),
        (TYPES, "garbage", "not what AWS's API says"),
    ],
)
def test_a_refusal_is_named_with_its_remedy(stub: Stub, folder: Path, action: str, failure: str, told: str) -> None:
    stub.failures[action] = [failure] * 9
    with pytest.raises(AwsProblem, match=told) as raised:
        refreshed(folder)
    assert "\n" not in raised.value.message and raised.value.exit_code == 2


def test_the_old_snapshot_serves_until_the_new_one_is_whole(stub: Stub, folder: Path) -> None:
    before = refreshed(folder).path.read_bytes()
    stub.failures[SPOT] = ["403:UnauthorizedOperation"]
    with pytest.raises(AwsProblem):
        refreshed(folder, now=NOW + timedelta(days=3))
    assert (folder / "catalog.json").read_bytes() == before


def test_a_region_or_family_that_does_not_exist_names_the_nearest(stub: Stub, folder: Path) -> None:
    with pytest.raises(UsageProblem, match=r"us-esat-1: no such AWS region\. Did you mean .*us-east-1"):
        refreshed(folder, regions=("us-esat-1",))
    assert not stub.asked
    with pytest.raises(UsageProblem, match=r"--family p55: no such family .* Did you mean p5\?"):
        refreshed(folder, "p55")
    assert any("--family p55" in note for note in refreshed(folder, "p5", "p55").notes)


def test_an_implausible_on_demand_price_is_refused(stub: Stub, folder: Path) -> None:
    stub.products = [product("p5.48xlarge", "us-east-1", "5.504"), product("g6.xlarge", "us-east-1", "0.7")]
    done = refreshed(folder)
    assert done.after.instances["p5.48xlarge"].on_demand["us-east-1"] == price(98.32)
    assert any("p5.48xlarge not taken: $5.504 an hour, which was $98.32" in note for note in done.notes)
    assert done.prices == 1


def test_a_second_refresh_waits_outside(stub: Stub, folder: Path) -> None:
    folder.mkdir()
    with open(folder / "refresh.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # only one that wants it alone is turned away
        with pytest.raises(UsageProblem, match=r"another refresh .* is running"):
            refreshed(folder)
    assert not stub.asked
    assert refreshed(folder).prices == 5


def test_a_broken_old_snapshot_is_replaced_and_that_is_said(stub: Stub, folder: Path) -> None:
    folder.mkdir()
    (folder / "catalog.json").write_text("{")
    assert any("catalog.json, line 1: not JSON" in note for note in refreshed(folder).notes)
    assert snapshot.read(folder) is not None


# --- the command, in a process of its own -----------------------------------------------------------------------------


def test_the_command_prints_one_document_and_its_progress_beside_it(stub: Stub, folder: Path) -> None:
    done = run("us-east-1", "g6,p5")
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert (
        told["on_demand_prices"] == 5 and told["spot_prices"] == 0 and told["snapshot"] == str(folder / "catalog.json")
    )
    assert {"instance": "p5.48xlarge", "what": "on_demand.us-east-1", "before": 98.32, "after": 55.04} in told[
        "changes"
    ]
    assert any("spot prices not taken: older than 2 days" in line for line in told["warnings"])
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()] == [
        "1 of 3: us-east-1: instance types",
        "2 of 3: us-east-1: on-demand prices",
        "3 of 3: us-east-1: spot prices",
    ]
    shown = run("us-east-1", "g6,p5", "terminal", "--quiet")
    assert shown.stderr == "" and "spot prices not taken" in " ".join(shown.stdout.split())


def test_a_terminal_gets_a_bar(stub: Stub) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("us-east-1", "g6"), env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # the other end is closed
            pass
        assert process.stdout is not None and json.loads(process.stdout.read())
    os.close(ours)
    assert "us-east-1: spot prices" in seen.decode() and "2/3" in seen.decode()  # quick steps may not be drawn


def test_without_credentials_it_says_so_before_it_asks(
    stub: Stub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    line = one_line(run("us-east-1", "g6"))
    assert line.startswith("mlscale: no AWS credentials were found. Set AWS_PROFILE")
    assert all(action in line for action in ACTIONS)
    assert "prices of 2026-07-20) goes on serving" in line
    assert not stub.asked and not folder.exists()


def test_a_profile_that_does_not_exist_is_named(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "(nobody) could not be found" in one_line(run("us-east-1", "g6"))


@pytest.mark.slow
def test_a_refused_connection_is_one_line(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", f"http://127.0.0.1:{taken.getsockname()[1]}")
        line = one_line(run("us-east-1", "g6"))
    assert "ec2:DescribeInstanceTypes in us-east-1: no answer from the network" in line
    assert "prices of 2026-07-20) goes on serving" in line


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "mlscale: interrupted."),
        (signal.SIGKILL, -signal.SIGKILL, ""),
        (signal.SIGTERM, -signal.SIGTERM, ""),
    ],
)
def test_ended_in_the_middle_it_leaves_the_old_snapshot_and_what_it_read(
    stub: Stub, folder: Path, number: int, code: int, told: str
) -> None:
    old = refreshed(folder, "p5", now=NOW - timedelta(days=5)).path.read_bytes()
    stub.asked.clear()
    stub.failures[GET_PRODUCTS] = ["hang"]
    with subprocess.Popen(
        command("us-east-1", "g6"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: stub.count(GET_PRODUCTS) > 0)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == code and stdout == ""
    assert told in stderr and "Traceback" not in stderr
    assert (folder / "catalog.json").read_bytes() == old
    assert kept_parts(folder) == 1
    stub.asked.clear()
    assert json.loads(run("us-east-1", "g6").stdout)["kept_steps"] == 1
    assert stub.count(TYPES) == 0


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_snapshot_that_cannot_be_written_whole_leaves_the_old_one(stub: Stub, folder: Path) -> None:
    """A disk's end as any user can have it: the limit on a file's size lets the parts through, not the snapshot."""
    path = refreshed(folder, "p5", now=NOW - timedelta(days=5)).path
    old = path.read_bytes()
    assert run("us-east-1", "g6").returncode == 0
    whole = len(path.read_bytes())
    path.write_bytes(old)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole - 1, whole - 1))

    line = one_line(run("us-east-1", "g6", preexec_fn=limit))
    assert "File too large. Free some space there, or name another folder with MLSCALE_DATA_DIR." in line
    assert path.read_bytes() == old
    assert not list(folder.rglob(".*.part"))
    assert kept_parts(folder) == 3
    assert json.loads(run("us-east-1", "g6").stdout)["kept_steps"] == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_leaves_the_old_snapshot(stub: Stub, folder: Path) -> None:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk here: {mounted.stderr.decode().strip()}")
    try:
        old = refreshed(folder, "p5", now=NOW - timedelta(days=5)).path.read_bytes()
        free = os.statvfs(folder)
        (folder / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_bsize - 8192))
        line = one_line(run("us-east-1", "g6"))
        assert "No space left on device. Free some space there" in line and "goes on serving" in line
        assert (folder / "catalog.json").read_bytes() == old
        (folder / "ballast").unlink()
        assert run("us-east-1", "g6").returncode == 0
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_folder_that_is_a_file_is_one_line(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLSCALE_DATA_DIR", str(tmp_path / "file" / "data"))
    assert "Not a directory. Free some space there, or name another folder" in one_line(run("us-east-1", "g6"))


# --- what a snapshot changes, and its file ----------------------------------------------------------------------------


def facts(name: str, read: date, **more: object) -> snapshot.TypeFacts:
    told = {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": 16, "DefaultCores": 8},
        "MemoryInfo": {"SizeInMiB": 65536},
        "NetworkInfo": {"NetworkPerformance": "100 Gigabit"},
        "GpuInfo": {"Gpus": [{"Name": "L4", "Count": 4, "MemoryInfo": {"SizeInMiB": 22888}}]},
    }
    return replace(answers.type_facts(told, read), **more)  # type: ignore[arg-type]


def shot(
    read: date, *types: snapshot.TypeFacts, region: str = "us-east-1", family: str = "g6", **more: object
) -> Snapshot:
    record = FamilyFacts(read, **{"offered": tuple(each.name for each in types), **more})  # type: ignore[arg-type]
    return Snapshot({each.name: each for each in types}, {region: {family: record}})


def merged(snap: Snapshot, name: str, catalog: Catalog = CATALOG) -> object:
    return merge(catalog, snap).instances[name]


LATER, EARLIER = SHIPPED.date + timedelta(days=9), SHIPPED.date - timedelta(days=1)


@pytest.mark.parametrize(("read", "usd"), [(LATER, 0.7), (SHIPPED.date, 0.7), (EARLIER, 0.9)])
def test_what_was_seen_later_counts(read: date, usd: float) -> None:
    now = merged(
        shot(read, facts("g6.xlarge", read), on_demand={"g6.xlarge": 0.7}, spot={"g6.xlarge": 0.2}), "g6.xlarge"
    )
    assert now.on_demand["us-east-1"].usd_per_hour == usd  # type: ignore[attr-defined]
    assert (now.vcpus == 16) == (now.spot["us-east-1"].usd_per_hour == 0.2) == (read >= SHIPPED.date)  # type: ignore[attr-defined]


def test_no_snapshot_changes_nothing() -> None:
    assert merge(CATALOG, None) is CATALOG
    assert merge(CATALOG, snapshot.EMPTY) == CATALOG


def test_a_type_that_left_its_regions_is_retired_and_one_that_is_back_is_not() -> None:
    gone = merge(CATALOG, shot(LATER, facts("g6.12xlarge", LATER))).instances["g6.xlarge"]
    assert gone.regions == ("us-west-2",) and not gone.retired
    both = shot(LATER, facts("g6.12xlarge", LATER))
    both = snapshot.overlay(both, shot(LATER, facts("g6.12xlarge", LATER), region="us-west-2"))
    gone = merge(CATALOG, both).instances["g6.xlarge"]
    assert gone.retired and "Not offered any more" in gone.note
    assert gone.on_demand == CATALOG.instances["g6.xlarge"].on_demand  # still a baseline
    back = merge(CATALOG, shot(LATER, facts("p2.xlarge", LATER), family="p2")).instances["p2.xlarge"]
    assert not back.retired and back.regions == ("us-east-1",)


def test_a_derived_price_gives_way_to_one_that_was_seen() -> None:
    newer = Source("a ratio", LATER)
    known = instance("g6.xlarge", "L4", 1, on_demand={"us-east-1": price(0.9, derived=True)}, source=replace(SHIPPED))
    known = replace(known, on_demand={"us-east-1": replace(known.on_demand["us-east-1"], source=newer)})
    catalog = replace(CATALOG, instances={"g6.xlarge": known})
    snap = shot(SHIPPED.date, facts("g6.xlarge", SHIPPED.date), on_demand={"g6.xlarge": 0.7})
    now = merge(catalog, snap).instances["g6.xlarge"].on_demand["us-east-1"]
    assert (now.usd_per_hour, now.derived) == (0.7, False)


def test_a_new_type_of_an_unknown_family_is_taken_with_its_gaps_named() -> None:
    snap = shot(LATER, facts("g9.24xlarge", LATER, accelerator="L99"), family="g9")
    new = merge(CATALOG, snap).instances["g9.24xlarge"]
    assert (new.accelerator, new.interconnect, new.accelerators) == (None, "other", 4)
    assert warnings(CATALOG, snap) == [
        "g9.24xlarge: the catalog has no data sheet of its accelerator, L99; how its 4 accelerators are linked is not known."
    ]


@pytest.mark.parametrize("gap", ["accelerators", "cores", "network_bytes_per_s"])
def test_a_new_type_with_too_much_unknown_is_left_out_and_named(gap: str) -> None:
    snap = shot(LATER, facts("g6.24xlarge", LATER, **{gap: None}))
    assert "g6.24xlarge" not in merge(CATALOG, snap).instances
    assert len(warnings(CATALOG, snap)) == 1 and "left out" in warnings(CATALOG, snap)[0]


def test_ec2_does_not_change_the_accelerator_or_its_link() -> None:
    """EC2 says 512 GiB a Trainium2, and nothing of trn2u's."""
    told = facts("trn2u.48xlarge", LATER, accelerator=None, accelerators=None, accelerator_memory_bytes=None)
    now = merge(CATALOG, shot(LATER, told, region="ap-south-2", family="trn2u")).instances["trn2u.48xlarge"]
    assert (now.accelerator, now.accelerators, now.interconnect) == ("Trainium2", 16, "neuronlink")
    catalog = replace(CATALOG, instances={"trn2.48xlarge": instance("trn2.48xlarge", "Trainium2", 16)})
    wrong = facts("trn2.3xlarge", LATER, accelerator="Trainium2", accelerators=1.0, accelerator_memory_bytes=2.0**39)
    assert merge(catalog, shot(LATER, wrong, family="trn2")).instances["trn2.3xlarge"].accelerator == "Trainium2"


@pytest.mark.parametrize(
    ("told", "cards", "gbps"),
    [
        ("400 Gigabit", [(400, 400)] * 4, (400, 400)),  # g6e.48xlarge: the cards sum to 1,600
        ("3200 Gigabit", [(200, 200)] * 8, (3200, 3200)),  # p6-b200
        ("200 Gigabit", [(50, 50)], (200, 200)),  # trn2.3xlarge
        ("3.12 Gigabit", [(3.125, 3.125)], (3.125, 3.125)),
        ("16x 200 Gigabit", [(200, 200)] * 16, (3200, 3200)),
        ("Up to 12.5 Gigabit", [(3.125, 12.5)], (3.125, 12.5)),
        ("Up to 10 Gigabit", [], (None, 10)),
        ("High", [(1.25, 2)], (1.25, 2)),
        ("High", [], (None, None)),
    ],
)
def test_network_rates(told: str, cards: list[tuple[float, float]], gbps: tuple[float | None, float | None]) -> None:
    network = {
        "NetworkPerformance": told,
        "NetworkCards": [{"BaselineBandwidthInGbps": base, "PeakBandwidthInGbps": peak} for base, peak in cards],
    }
    found = answers.bandwidth_bytes_per_s(network)
    assert found == tuple(None if rate is None else rate * 1e9 / 8 for rate in gbps)


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, True),
        ({"tenancy": "Dedicated"}, False),
        ({"capacitystatus": "UnusedCapacityReservation"}, False),
        ({"marketoption": "CapacityBlock"}, False),
        ({"locationType": "AWS Local Zone"}, False),
        ({"preInstalledSw": "SQL Ent"}, False),
        ({"regionCode": "us-west-2"}, False),
    ],
)
def test_only_the_plain_on_demand_price_is_taken(changed: dict[str, str], taken: bool) -> None:
    document = product("p5.48xlarge", "us-east-1", "55.04", **changed)
    assert answers.on_demand_price(document, "us-east-1") == (("p5.48xlarge", 55.04) if taken else None)


@pytest.mark.parametrize("usd", ["0.0000000000", "nan", "inf", "-1"])
def test_a_price_that_is_none_is_not_taken(usd: str) -> None:
    assert answers.on_demand_price(product("p5.48xlarge", "us-east-1", usd), "us-east-1") is None


def test_two_prices_for_one_type_are_none() -> None:
    found = [("a.large", 1.0), ("a.large", 2.0), ("b.large", 3.0), ("b.large", 3.0)]
    kept, said = answers.plausible_prices(found, {}, "us-east-1")
    assert kept == {"b.large": 3.0} and "a.large not taken: two prices, $1 and $2" in said[0]


def test_spot_is_the_median_over_the_zones_of_the_region_itself() -> None:
    def row(zone: str, usd: str, minutes: int) -> dict[str, object]:
        at = NOW - timedelta(minutes=minutes)
        return {
            "AvailabilityZone": zone,
            "InstanceType": "g6.xlarge",
            "SpotPrice": usd,
            "Timestamp": at,
            "ProductDescription": "Linux/UNIX",
        }

    rows = [
        row("us-west-2a", "0.30", 5),
        row("us-west-2a", "0.90", 500),  # an older price of the same zone
        row("us-west-2b", "0.40", 5),
        row("us-west-2c", "0.50", 5),
        row("us-west-2-lax-1a", "0.95", 5),  # a Local Zone
    ]
    seen = answers.spot_seen(rows, "us-west-2")
    assert answers.plausible_spot(seen, {"g6.xlarge": 0.8}, NOW, "us-west-2") == ({"g6.xlarge": 0.4}, [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(format="else"), "'format' is not"),
        (lambda d: d.update(version=2), "version 2, and this mlscale reads version 1"),
        (lambda d: d.pop("types"), "has no 'types'"),
        (
            lambda d: d["types"]["g6.xlarge"].update(vcpus="many"),
            r"types\.g6\.xlarge is not .*'vcpus' is 'many', not a number",
        ),
        (lambda d: d["types"]["g6.xlarge"].update(memory_bytes=-1), "'memory_bytes' is -1"),
        (lambda d: d["types"]["g6.xlarge"].update(read="yesterday"), "types.g6.xlarge"),
        (lambda d: d["regions"]["us-east-1"]["g6"]["on_demand_usd_per_hour"].update(a=0), "of a is 0, not a price"),
        (lambda d: d["regions"].update({"us-east-1": []}), "regions.us-east-1"),
    ],
)
def test_a_wrong_snapshot_file_names_file_and_key(
    tmp_path: Path, change: Callable[[dict[str, object]], object], told: str
) -> None:
    document = json.loads(snapshot.as_json(shot(LATER, facts("g6.xlarge", LATER), on_demand={"g6.xlarge": 0.7})))
    change(document)
    (tmp_path / "catalog.json").write_text(json.dumps(document))
    with pytest.raises(UnreadableInput, match=told) as raised:
        snapshot.read(tmp_path)
    assert (
        raised.value.message.startswith(f"{tmp_path}/catalog.json")
        and "mlscale catalog refresh" in raised.value.message
    )


def test_without_a_snapshot_there_is_none(tmp_path: Path) -> None:
    assert snapshot.read(tmp_path) is None
    assert snapshot.read(tmp_path / "nowhere") is None
    (tmp_path / "catalog.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableInput, match="not a text file"):
        snapshot.read(tmp_path)
