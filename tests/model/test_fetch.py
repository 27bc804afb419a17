"""What a node fetches: the page cache against a simulation, limits, sizes, and laws that physics asks for."""

from __future__ import annotations

import collections
import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlscale.catalog.types import Dataset, FileSystem, Instance
from mlscale.model.fetch import (
    HEADROOM,
    Fetch,
    fetch_limit,
    resized_bytes,
    served_by,
    store_size,
    with_outstanding,
)
from mlscale.model.page_cache import lru_hits, page_cache_misses, random_hits
from tests.model.facts import CONSTANTS, GB, GIB, IMAGENET, TIB, fsx, gp3, instance, nvme, ram, s3, store


def simulated_hits(share: float, nodes: int, policy: str, samples: int = 1500, epochs: int = 10) -> float:
    """Hit ratio on node 0 of a cache, every epoch shuffled anew and dealt out by chance."""
    chance = random.Random(7)
    places = int(share * samples)
    cache: collections.OrderedDict[int, None] = collections.OrderedDict()
    keys: list[int] = []
    hits = seen = 0
    for epoch in range(epochs * nodes):
        order = list(range(samples))
        chance.shuffle(order)
        for sample in order[: samples // nodes]:
            warm = epoch >= 3 * nodes
            seen += warm
            if sample in cache:
                hits += warm
                if policy == "lru":
                    cache.move_to_end(sample)
                continue
            if len(cache) >= places:
                if policy == "lru":
                    cache.popitem(last=False)
                else:
                    place = chance.randrange(len(keys))
                    del cache[keys[place]]
                    keys[place] = sample
                    cache[sample] = None
                    continue
            cache[sample] = None
            keys.append(sample)
    return hits / seen


@pytest.mark.parametrize("nodes", [1, 2, 4])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.9])
def test_the_page_cache_agrees_with_a_simulation(share: float, nodes: int) -> None:
    assert lru_hits(share, nodes) == pytest.approx(simulated_hits(share, nodes, "lru"), abs=0.02)
    assert random_hits(share, nodes) == pytest.approx(simulated_hits(share, nodes, "random"), abs=0.02)


def test_a_cache_of_half_the_data_hits_far_less_than_half() -> None:
    assert lru_hits(0.5) == pytest.approx(0.5 + 0.5 * math.log(0.5))
    misses = page_cache_misses(0.5)
    assert misses.low == pytest.approx(1 - random_hits(0.5)) and misses.high == pytest.approx(1 - lru_hits(0.5))
    assert lru_hits(0.5, 1000) == pytest.approx(0.5)  # met so seldom that order says nothing


@given(st.floats(0, 1.2), st.floats(0, 1.2), st.integers(1, 40))
def test_more_cache_never_hits_less(share: float, other: float, nodes: int) -> None:
    few, many = sorted((share, other))
    for hits in (lru_hits, random_hits):
        assert 0 <= hits(few, nodes) <= hits(many, nodes) + 1e-6 <= 1 + 1e-6
    assert page_cache_misses(many, nodes).value <= page_cache_misses(few, nodes).value + 1e-6


def fetch(
    file_system: FileSystem,
    box: Instance | None = None,
    dataset: Dataset = IMAGENET,
    nodes: int = 1,
    *,
    size_bytes: float | None = None,
    outstanding: float = math.inf,
    needed: float | None = None,
    epochs: float = math.inf,
) -> Fetch:
    return fetch_limit(
        file_system,
        box or instance(memory_bytes=1 * GIB),
        dataset,
        nodes,
        size_bytes=size_bytes,
        outstanding=outstanding,
        constants=CONSTANTS,
        needed_samples_per_s=needed,
        epochs=epochs,
    )


def rate(found: Fetch) -> float:
    return math.inf if found.samples_per_s is None else found.samples_per_s.value


def test_throughput_iops_and_latency_each_can_bind() -> None:
    real, size = CONSTANTS.nominal_rate_fraction, IMAGENET.bytes_per_sample
    misses = 1 - fetch(store()).hit_fraction
    by_bytes = fetch(store())
    assert rate(by_bytes) == pytest.approx(real * 1e9 / size / misses, rel=1e-3) and "1.00 GB/s" in by_bytes.binding
    by_reads = fetch(store(read_iops=1000))
    assert rate(by_reads) == pytest.approx(real * 1000 / misses, rel=1e-3) and "1000 reads/s" in by_reads.binding
    waiting = fetch(store(read_latency_s=0.1), outstanding=4)
    assert rate(waiting) == pytest.approx(4 / 0.1 / misses, rel=0.01) and "4 reads at a time" in waiting.binding
    assert rate(with_outstanding(fetch(store(read_latency_s=0.1)), 4, CONSTANTS)) == pytest.approx(rate(waiting))


def test_a_shared_store_is_divided_and_an_unshared_one_copied() -> None:
    alone, eight = fetch(store()), fetch(store(), nodes=8)
    assert eight.cold_samples_per_s is not None and alone.cold_samples_per_s is not None
    assert eight.cold_samples_per_s.value == pytest.approx(alone.cold_samples_per_s.value / 8)
    assert "shared by 8 nodes" in eight.binding and eight.copies == 1
    copied = fetch(gp3(), nodes=8)
    assert copied.copies == 8 and copied.usd_per_month == pytest.approx(8 * fetch(gp3()).usd_per_month)
    assert "8 copies" in copied.note


def test_client_caps_and_the_instance_bind_by_name() -> None:
    efs = store(name="efs", service="EFS", max_bytes_per_s=64e9, client_bytes_per_s=1.573e9)
    assert fetch(efs).binding == "EFS: 1.57 GB/s per client"
    assert "625 MB/s of network" in fetch(efs, instance(memory_bytes=GIB, network_bytes_per_s=0.625e9)).binding
    small = instance(memory_bytes=GIB, ebs_bytes_per_s=0.1e9)
    assert fetch(gp3(), small, needed=1e6).binding == "p9.48xlarge: 100 MB/s to EBS"


def test_sizes_are_bought_as_they_are_sold() -> None:
    assert [store_size(fsx(), tib * TIB) for tib in (0.1, 1.2, 2.4, 5)] == [
        1200 * GIB,
        2400 * GIB,
        4800 * GIB,
        7200 * GIB,
    ]
    assert store_size(gp3(), 70_000 * GIB) is None
    least = fetch(fsx())
    assert least.size_bytes == 1200 * GIB
    assert least.usd_per_month == pytest.approx(1200 * 0.14)


def test_lustre_grows_until_it_feeds_the_step() -> None:
    """200 MB/s/TiB: 20,000 samples/s of 114,660 bytes need 2.55 GB/s at 0.9 of the nominal rate and with headroom, so 19 TiB."""
    grown = fetch(fsx(), needed=20_000)
    misses = 1 - grown.hit_fraction
    wanted = HEADROOM * 20_000 * misses * IMAGENET.bytes_per_sample / 0.9 / 200e6 * TIB
    assert grown.size_bytes == math.ceil(wanted / (2400 * GIB)) * 2400 * GIB
    assert rate(grown) >= 20_000
    assert fetch(fsx(), needed=20_000, nodes=4).size_bytes > 2 * grown.size_bytes


def test_throughput_and_iops_are_bought_only_as_needed() -> None:
    idle, busy = fetch(gp3(), needed=100), fetch(gp3(), needed=5000)
    assert idle.usd_per_month == pytest.approx(0.08 * idle.size_bytes / GIB)  # what is included does
    assert busy.usd_per_month > idle.usd_per_month
    assert rate(busy) == pytest.approx(HEADROOM * 5000, rel=1e-3)


def test_local_stores_need_room() -> None:
    no_store = fetch(nvme(), instance(memory_bytes=GIB, nvme_bytes=0, nvme_iops=None))
    assert not no_store.feasible and no_store.why_not == "p9.48xlarge has no instance store"
    small = fetch(nvme(), instance(memory_bytes=GIB, nvme_bytes=100 * GB))
    assert not small.feasible and "the dataset (147 GB) is larger than the instance store" in small.why_not
    full = fetch(ram(), instance(memory_bytes=200 * GIB))
    assert not full.feasible and "half of the memory" in full.why_not
    roomy = fetch(ram(), instance(memory_bytes=2000 * GIB))
    assert roomy.feasible and rate(roomy) > rate(fetch(nvme()))
    unknown = fetch(nvme(), instance(memory_bytes=GIB, nvme_iops=None))
    told = fetch(nvme())
    assert unknown.samples_per_s is not None and told.samples_per_s is not None
    assert unknown.samples_per_s.log_sd > told.samples_per_s.log_sd


def test_a_published_sequential_rate_goes_before_iops() -> None:
    found = fetch(nvme(), instance(memory_bytes=GIB, nvme_bytes_per_s=16e9))
    assert found.cold_samples_per_s is not None
    assert found.cold_samples_per_s.value == pytest.approx(0.9 * 16e9 / IMAGENET.bytes_per_sample)
    assert "from" not in found.binding and "16" not in fetch(nvme()).binding


def test_servers_make_a_parallel_file_system() -> None:
    server = instance(network_bytes_per_s=6e9, nvme_bytes=10e12, nvme_bytes_per_s=8e9)
    beegfs = store(name="beegfs", service="BeeGFS", kind="parallel", max_bytes_per_s=None, relative_speed=1.6)
    four = served_by(beegfs, server, 4, 5.0)
    found = fetch(four, instance(memory_bytes=GIB, network_bytes_per_s=1e12))
    assert found.binding == "BeeGFS: 24.00 GB/s" and found.size_bytes == 40e12
    assert found.usd_per_month == pytest.approx(4 * 5 * 730) and found.note == ""


def test_throughput_that_the_size_includes_is_not_paid_for() -> None:
    provisioned = store(
        bytes_per_s_per_tib=157e6, max_bytes_per_s=10e9, usd_per_bytes_per_s_month=2e-6, usd_per_gb_month=0.3
    )
    big = dataclasses.replace(IMAGENET, samples=100 * IMAGENET.samples)
    tib = big.samples * big.bytes_per_sample / TIB
    assert fetch(provisioned, dataset=big).usd_per_month == pytest.approx(0.3 * tib * 1024)
    more = fetch(provisioned, dataset=big, needed=50_000)
    assert more.usd_per_month > 0.3 * tib * 1024 and rate(more) > 50_000


def test_the_papers_table_speaks_where_nothing_else_does() -> None:
    beegfs = store(name="beegfs", service="BeeGFS", kind="parallel", max_bytes_per_s=None, relative_speed=1.6)
    found = fetch(beegfs)
    assert "Table 1" in found.binding and found.samples_per_s is not None and found.samples_per_s.log_sd >= 0.5


def test_data_that_fits_in_memory_are_limited_in_the_first_epoch_only() -> None:
    found = fetch(store(), instance(memory_bytes=2000 * GIB))
    assert found.samples_per_s is None and found.cold_samples_per_s is not None and found.hit_fraction == 1
    assert "page cache" in found.binding
    assert fetch(s3(), instance(memory_bytes=2000 * GIB)).samples_per_s is not None  # objects are not cached


def test_the_first_epoch_is_bought_for_by_its_weight() -> None:
    """All fits in memory: many epochs need no more than what is included, a single one needs all from the store."""
    big = instance(memory_bytes=2000 * GIB)
    many, ten, one = (fetch(gp3(), big, needed=5000, epochs=epochs) for epochs in (1000, 10, 1))
    assert many.usd_per_month < ten.usd_per_month < one.usd_per_month
    assert one.hit_fraction == 0 and one.samples_per_s is not None and one.samples_per_s.value >= 5000
    assert ten.hit_fraction == 1 and ten.cold_samples_per_s is not None
    assert ten.cold_samples_per_s.value == pytest.approx(5000 / 1.5, rel=1e-3)


kinds = st.sampled_from([store(read_iops=20_000, client_bytes_per_s=0.8e9), fsx(), gp3(), nvme(), s3()])


@given(kinds, st.floats(1e3, 1e8), st.integers(1, 64), st.floats(1, 4), st.floats(1, 1000))
def test_more_of_anything_is_never_slower(
    file_system: FileSystem, sample: float, nodes: int, more: float, outstanding: float
) -> None:
    data = dataclasses.replace(IMAGENET, bytes_per_sample=sample)
    box = instance()

    def at(
        fs: FileSystem = file_system, i: Instance = box, d: Dataset = data, n: int = nodes, q: float = outstanding
    ) -> float:
        return rate(fetch(fs, i, d, n, outstanding=q))

    base = at()
    assert base > 0
    faster = {
        name: value * more
        for name in ("max_bytes_per_s", "client_bytes_per_s", "stream_bytes_per_s", "bytes_per_s_per_tib", "read_iops")
        if (value := getattr(file_system, name)) is not None
    }
    slack = 1 - 1e-9
    for name, value in faster.items():
        assert at(fs=dataclasses.replace(file_system, **{name: value})) >= base * slack, name
    for name in ("memory_bytes", "network_bytes_per_s", "ebs_bytes_per_s", "ebs_iops", "nvme_iops"):
        assert at(i=instance(**{name: getattr(box, name) * more})) >= base * slack, name
    assert at(q=outstanding * more) >= base * slack
    assert at(fs=dataclasses.replace(file_system, read_latency_s=file_system.read_latency_s * more)) <= base / slack
    assert (
        at(d=dataclasses.replace(data, bytes_per_sample=sample * more)) <= base / slack
        or file_system.bytes_per_s_per_tib
    )


@given(st.sampled_from([fsx(), gp3()]), st.floats(10, 1e5), st.floats(1, 10))
def test_what_is_needed_costs_no_less_when_it_is_more(file_system: FileSystem, needed: float, more: float) -> None:
    little, much = fetch(file_system, needed=needed), fetch(file_system, needed=needed * more)
    assert much.usd_per_month >= little.usd_per_month * (1 - 1e-9)
    assert rate(much) >= rate(little) * (1 - 1e-9)


@given(st.floats(64, 2000), st.floats(64, 2000))
def test_smaller_images_take_fewer_bytes_and_none_grows_beyond_its_own_size(one: float, other: float) -> None:
    small, large = sorted((one, other))
    for compressed in (True, False):
        shrunk = resized_bytes(100.0, large, small, CONSTANTS, compressed=compressed)
        assert 0 < shrunk.value <= 100 and shrunk.low <= shrunk.value <= shrunk.high
    assert resized_bytes(100.0, 800, 1600, CONSTANTS).value == 100
    assert resized_bytes(100.0, 512, 256, CONSTANTS, own_side=512).value < 50
