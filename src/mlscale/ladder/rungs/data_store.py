"""Rung 3: is preparation limited by I/O? Then the data belongs on a faster store."""

from mlscale.ladder.case import FAST_STORE_ERROR, STORE_LEFT, STORE_LEFT_MOST, Case
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung, Threshold
from mlscale.ladder.wording import pct, times
from mlscale.profile.answers import COMING_IN, ONE_CONNECTION_BYTES_PER_S
from mlscale.profile.job import Store
from mlscale.profile.stores import LATENCY_OF_A_SLOW_READ_S, NEAR_LIMIT, QUEUE_ABOVE

CITATION = 'White paper, "Distributed Computation Frameworks": IO limits preparation; Table 1 compares the stores'
EVIDENCE = ("worker_io_wait_fraction", "storage_read_bytes_per_s", "storage_reads_per_s", "page_cache_hit_fraction")
ADVICE = (
    "Move the data to a store that keeps up: instance NVMe or a RAM disk where it fits, FSx for Lustre or BeeGFS where "
    "many machines share it.",
    "Many small files: pack them into shards that are read from end to end.",
)


def check(case: Case) -> RungResult:
    """Climb where workers wait for a store that gives all it can."""
    profile, store, gain = case.profile, case.store, case.faster_store
    if profile.training is None:
        return RungResult("data_store", "unknown", "No steady training was seen.", EVIDENCE, citation=CITATION)
    waits = profile.workers.io_wait if profile.workers is not None else profile.training.data_io_wait
    if case.bottleneck == "storage":
        because = f"{pct(waits)} of the preparation's time is waiting for {describe(store)}."
        if store is not None and store.why:
            because += f" {store.why[0].upper()}{store.why[1:]}."
        return RungResult("data_store", "climb", because, EVIDENCE, gain, actions_of(store), CITATION)
    if case.bottleneck in ("loader_workers", "preprocessing") and waits >= 0.1:
        because = f"{pct(waits)} of the preparation's time waits for {describe(store)}; a faster store would bring {times(gain)}."
        return RungResult("data_store", "later", because, EVIDENCE, gain, actions_of(store), CITATION)
    because = f"Preparation waits for storage {pct(waits)} of its time."
    return RungResult("data_store", "clear", because, EVIDENCE, citation=CITATION)


def describe(store: Store | None) -> str:
    """The store for people: "ext4 on vda at /data"."""
    if store is None:
        return "storage"
    if store.kind == "socket":
        return f"the remote store at {store.where}"
    if store.kind == "other":
        return store.where
    device = f" on {store.device}" if store.device else ""
    return f"{store.file_system}{device} at {store.where}"


def actions_of(store: Store | None) -> tuple[str, ...]:
    """The exact move, by what the store is."""
    if store is None or store.kind == "other":
        return ("Move the data to local NVMe, or to a RAM disk (/dev/shm) if it fits in memory",)
    path = f" ({store.example_path.rsplit('/', 1)[0]})" if store.example_path else ""
    where = {
        "block": f"Move the data{path} to instance NVMe; on EBS, raise the volume's throughput and IOPS (gp3) first",
        "nfs": f"Copy the data{path} to instance NVMe before training, or move it from EFS to FSx for Lustre",
        "fuse": f"Copy the data{path} to instance NVMe before training, or let the mount cache there",
        "lustre": "Raise the file system's throughput per TiB, or stripe the files over more targets",
        "beegfs": "Add storage targets, or stripe the files over more of them",
        "socket": "Copy the data to instance NVMe before training, or to FSx for Lustre linked to the bucket",
    }
    found = [where.get(store.kind, f"Move the data{path} to instance NVMe")]
    if store.ceiling_source and store.ceiling_bytes_per_s and "seen" not in store.ceiling_source:
        limit = f"{store.ceiling_bytes_per_s / 1e6:.3g} MB/s"
        found.insert(0, f"Lift the container's I/O limit of {limit} ({store.ceiling_source}), if it is not meant")
    return tuple(found)


DATA_STORE = Rung(
    id="data_store",
    title="A faster store",
    question="Do the processes that prepare data wait for I/O, at a store that gives no more?",
    why="Workers that sit in reads cannot be helped by cores; more of them only queue.",
    thresholds=(
        Threshold(
            "at its limit from", f"{NEAR_LIMIT:.0%} of the limit", "the kernel's throttle passes reads in slices"
        ),
        Threshold(
            "held back above the device", f"queue below {QUEUE_ABOVE:.0%} of the waiting threads", "Little's law"
        ),
        Threshold(
            "a queue at the device", f"{LATENCY_OF_A_SLOW_READ_S * 1e3:g} ms per read", "ten times what flash takes"
        ),
        Threshold(
            "a remote line is full",
            f"{COMING_IN:.0%} of the waits see an answer trickle in, below {ONE_CONNECTION_BYTES_PER_S / 1e6:g} MB/s each",
            "AWS: one request carries 85 to 90 MB/s from S3",
        ),
        Threshold(
            "what a local store leaves of the waiting",
            f"{STORE_LEFT:.0%} (none in memory, {STORE_LEFT_MOST:.0%} on a slow one)",
            "flash answers in 0.1 ms where others take 5 to 50",
        ),
        Threshold("error of the promise", f"{FAST_STORE_ERROR:.0%}", 'calibrated: docs/model.md, "Errors"'),
    ),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
