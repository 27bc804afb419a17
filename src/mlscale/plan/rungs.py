"""What each rung of the ladder offers, in its order: the setups to weigh. Pure.

Above `data_store`, instance, file system and workers are chosen together, for their limits bind together; so each rung
that changes the machine re-walks the ones below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mlscale.catalog.types import FileSystem, Instance
from mlscale.ladder.result import RungName
from mlscale.model.fetch import served_by
from mlscale.plan.predict import gpus_of
from mlscale.plan.setup import Case, Setup

NODE_COUNTS = (2, 4, 8, 16, 32, 64)
HOST_COUNTS = (1, 2, 4, 8)
SERVER_COUNTS = (2, 4, 8)
COPIED = ("instance-nvme", "ram-disk", "ebs-gp3")  # of the stores that each node of a cluster would have a copy of
FIRST_STORE = "s3-standard"  # the paper: the usual target of training datasets
INFERENCE_ONLY = ("Inferentia", "Inferentia2", "Qualcomm-AI100")  # cannot train
PORTABLE = ("NVIDIA", "x86_64")  # where training code runs as it is; others only where their family or type is named


def stores(case: Case) -> tuple[FileSystem, ...]:
    """The file systems that may be used; a parallel one on the servers that it takes."""
    named = case.constraints.file_systems or tuple(case.facts.catalog.file_systems.values())
    return tuple(served for store in named for served in _served(case, store))


def _served(case: Case, store: FileSystem) -> tuple[FileSystem, ...]:
    """A parallel file system on 2, 4 or 8 of the machines with NVMe that read a byte for the least money."""
    if store.kind != "parallel" or store.usd_per_gb_month > 0:
        return (store,)
    region = case.constraints.regions[0]
    sold = [h for h in case.facts.catalog.hosts.values() if h.nvme_bytes_per_s and region in h.on_demand]
    if not sold:
        return (store,)
    server = min(
        sold, key=lambda h: h.on_demand[region].usd_per_hour / min(h.network_bytes_per_s, h.nvme_bytes_per_s or 1)
    )
    usd = server.on_demand[region].usd_per_hour
    return tuple(
        replace(served_by(store, server, count, usd), service=f"{store.service} ({count} × {server.name})")
        for count in SERVER_COUNTS
    )


def allowed(case: Case, instance: Instance) -> bool:
    """Whether a type is one of those asked for. Whether it can be bought is the price's question."""
    limits = case.constraints
    if limits.families and instance.family not in limits.families:
        return False
    if limits.instances and instance.name not in limits.instances:
        return False
    return instance.efa or not limits.efa


def accelerated(case: Case) -> list[Instance]:
    """Types with accelerators that train, that may be used, and that can still be had somewhere."""
    found = case.facts.catalog.instances.values()
    return [i for i in found if i.accelerators > 0 and not i.retired and allowed(case, i) and trains(case, i)]


def trains(case: Case, instance: Instance) -> bool:
    """Whether the job's code would run there: on NVIDIA's and x86 as it is, on Trainium or Arm after porting."""
    accelerator = case.facts.catalog.accelerators.get(instance.accelerator or "")
    if accelerator is None or accelerator.name in INFERENCE_ONLY:
        return False
    named = instance.family in case.constraints.families or instance.name in case.constraints.instances
    return (accelerator.vendor, instance.arch) == PORTABLE or named


def cpu_to_gpu(case: Case) -> Iterator[Setup]:
    """From nothing, or a CPU: one whole GPU, the data in S3."""
    if case.start is not None and gpus_of(case.start.instance) > 0:
        return
    workers = case.constraints.workers
    store = stores(case) if case.constraints.file_systems else (case.facts.catalog.file_systems[FIRST_STORE],)
    for instance in accelerated(case):
        if instance.accelerators == 1:
            for file_system in store:
                yield Setup("cpu_to_gpu", instance, 1, file_system, workers)


def loader_workers(case: Case) -> Iterator[Setup]:
    """As many workers as help, on the same machine and store."""
    if case.start is not None and case.constraints.workers is None:
        yield _like(case.start, "loader_workers", workers=None)


def data_store(case: Case) -> Iterator[Setup]:
    """Every other store, on the same machine."""
    if case.start is None or case.own:
        return
    for file_system in stores(case):
        if file_system.name != case.start.file_system.name:
            start = case.start
            yield Setup("data_store", start.instance, start.nodes, file_system, case.constraints.workers)


def trim_preprocessing(case: Case) -> Iterator[Setup]:
    """Samples stored as small as the model takes them."""
    if case.start is not None and case.job.trim is not None:
        start = case.start
        workers = case.constraints.workers
        yield Setup("trim_preprocessing", start.instance, start.nodes, start.file_system, workers, trimmed=True)


def prep_cluster(case: Case) -> Iterator[Setup]:
    """Machines without a GPU that prepare data for the ones with."""
    if case.start is None or case.own:
        return
    hosts = [h for h in case.facts.catalog.hosts.values() if not h.retired and h.nvme_bytes == 0]
    for region in case.constraints.regions:
        sold = [host for host in hosts if region in host.on_demand and host.cores >= 8]
        if not sold:
            continue
        host = min(sold, key=lambda h: h.on_demand[region].usd_per_hour / h.cores)
        for count in HOST_COUNTS:
            for file_system in {s.name: s for s in (case.start.file_system, *shared_stores(case))}.values():
                yield Setup(
                    "prep_cluster",
                    case.start.instance,
                    case.start.nodes,
                    file_system,
                    case.constraints.workers,
                    hosts=count,
                    host=host,
                )


def shared_stores(case: Case) -> tuple[FileSystem, ...]:
    """Those that several machines can read."""
    return tuple(store for store in stores(case) if store.shared)


def bigger_gpu(case: Case) -> Iterator[Setup]:
    """Every machine with one accelerator, more CPUs beside the same one included."""
    choice = stores(case)
    for instance in accelerated(case):
        if gpus_of(instance) == 1 and (case.constraints.nodes or 1) == 1:
            for file_system in choice:
                yield Setup("bigger_gpu", instance, 1, file_system, case.constraints.workers)


def multi_gpu_node(case: Case) -> Iterator[Setup]:
    """Every machine with several."""
    choice = stores(case)
    for instance in accelerated(case):
        if gpus_of(instance) > 1 and (case.constraints.nodes or 1) == 1:
            for file_system in choice:
                yield Setup("multi_gpu_node", instance, 1, file_system, case.constraints.workers)


def cluster(case: Case) -> Iterator[Setup]:
    """Several machines, in one placement group."""
    counts = [n for n in NODE_COUNTS if n <= case.constraints.max_nodes]
    if case.constraints.nodes is not None:
        counts = [case.constraints.nodes] if case.constraints.nodes > 1 else []
    choice = [s for s in stores(case) if s.shared or s.name in COPIED or s in case.constraints.file_systems]
    for instance in accelerated(case):
        if instance.placement_group:
            for nodes in counts:
                for file_system in choice:
                    yield Setup("cluster", instance, nodes, file_system, case.constraints.workers)


def _like(start: Setup, rung: RungName, *, workers: int | None) -> Setup:
    return Setup(rung, start.instance, start.nodes, start.file_system, workers)


RUNGS: tuple[tuple[RungName, Callable[[Case], Iterator[Setup]]], ...] = (
    ("cpu_to_gpu", cpu_to_gpu),
    ("loader_workers", loader_workers),
    ("data_store", data_store),
    ("trim_preprocessing", trim_preprocessing),
    ("prep_cluster", prep_cluster),
    ("bigger_gpu", bigger_gpu),
    ("multi_gpu_node", multi_gpu_node),
    ("cluster", cluster),
)
