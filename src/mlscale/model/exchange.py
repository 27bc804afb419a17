"""How long a training step takes on more GPUs and on more nodes, at the same batch per GPU. Pure; docs/model-exchange.md.

A step computes, exchanges gradients (partly meanwhile), and waits for the slowest GPU. What one measured step and the
gradients' size do not tell comes from measured all-reduce times of each kind of link, and from constants fitted on
published measurements (`profiles/calibration/exchange.yaml`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlscale.catalog.types import Accelerator, Instance
from mlscale.model.estimate import Estimate

SHARDED_TRAFFIC = 1.5  # parameters are gathered twice and gradients scattered once: three halves of an all-reduce
LEAST_COMPUTE = 0.3  # of a measured step: an exchange can hardly have been more than the rest
SWITCHED = ("B300", "B200", "H200", "H100", "A100")  # their names are those of measured fabrics; EFA reads their memory
BY_NAME = {"L40S": "L40S", "RTX-PRO": "RTX-PRO-6000"}  # measured over PCIe
NETWORK_TITLES = {
    "efa": "EFA",
    "efa_host": "EFA through host memory (not measured)",
    "rdma": "RDMA",
    "tcp": "TCP without EFA",
}
NOT_MEASURED = 2.0  # times the error of an exchange
LATENCY_SHARE = 0.8  # of a step, at most, that does not shrink with the batch


@dataclass(frozen=True)
class Curve:
    """Measured all-reduce times between `gpus` GPUs of a node, seconds at rising message sizes in bytes."""

    gpus: int
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Fabric:
    """What the GPUs of a node talk over: measured curves by rising GPU count, or a bus bandwidth where none is published.

    `shared`: the more GPUs, the less for each (PCIe). `title` is for people.
    """

    title: str
    curves: tuple[Curve, ...] = ()
    bytes_per_s: float = 0.0
    shared: bool = False


@dataclass(frozen=True)
class Link:
    """`fabric` names what is used inside a node, `network` what is used between nodes ("efa", "efa_host": through host
    memory, "rdma", "tcp", "none"); `network_bytes_per_s` is one node's nominal rate, one direction. `bytes_per_s` stands
    in for an unknown fabric."""

    fabric: str
    network: str = "none"
    network_bytes_per_s: float = 0.0
    bytes_per_s: float | None = None


@dataclass(frozen=True)
class Traits:
    """What else is known of a job; each narrows the constants where something was measured of the kind. Empty: unknown."""

    framework: str = ""
    domain: str = ""
    site: str = ""
    publisher: str = ""


@dataclass(frozen=True)
class Cluster:
    """GPUs of a node, nodes, and micro-steps (forward and backward) for each exchange."""

    gpus_per_node: float = 1
    nodes: int = 1
    accumulation: float = 1.0

    @property
    def gpus(self) -> float:
        """Of all nodes."""
        return self.gpus_per_node * self.nodes


Causes = tuple[float, float, float, float, float]  # of error, in the order of Spread's widths


@dataclass(frozen=True)
class Spread:
    """Standard deviation of the logarithm: the root of the sum of squares of these, each times what it is named for."""

    base: float
    per_exchange: float  # times the logarithm of the step over the computation alone
    per_doubling: float  # of the number of GPUs or nodes
    per_batch: float  # times the logarithm of the change of the batch
    unknown_site: float  # nothing was measured on this system before

    def log_sd(self, causes: Causes) -> float:
        """The standard deviation for what a prediction has to bridge."""
        own = (self.base, self.per_exchange, self.per_doubling, self.per_batch, self.unknown_site)
        return math.sqrt(sum((width * cause) ** 2 for width, cause in zip(own, causes, strict=True)))


@dataclass(frozen=True)
class ExchangeConstants:
    """Fitted on published measurements; `factors` are logarithms by level and name (absent: 0)."""

    overlap: tuple[float, float]  # exponent of the sum of computation and exchange: inside a node, between nodes
    exposed: tuple[float, float]  # share of an exchange that never overlaps
    bucket_bytes: float  # gradients below this leave in one piece, when all are ready
    straggler: tuple[float, float]  # share of a step for each doubling of a node's GPUs, of nodes
    sync_s: float  # of every step on 8 GPUs of a node
    sync_power: float
    network_latency_s: float  # for each doubling of nodes
    tcp_bytes_per_s: float  # what TCP gives a node at most, however wide its network
    shared_power: float  # how a shared fabric's time grows with its GPUs
    step_latency_s: float  # of a step, whatever its batch
    update_s_per_byte: float  # of a step, for each byte of gradients
    fabrics: Mapping[str, Fabric]
    factors: Mapping[str, Mapping[str, float]]
    spread: Mapping[str, Spread]  # "node", "network"
    source: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)

    def factor(self, level: str, name: str) -> float:
        """The fitted deviation of one name from the rest of its level."""
        return self.factors.get(level, {}).get(name, 0.0)


@dataclass(frozen=True)
class ScaledStep(Estimate):
    """Seconds of a step on the cluster. `efficiency` is work a GPU and second over that of the measured run."""

    efficiency: float = 1.0
    exchange_s: float = 0.0  # of the whole exchange, hidden or not
    exposed_s: float = 0.0  # what the exchange adds to the step
    causes: Causes = (0.0, 0.0, 0.0, 0.0, 0.0)  # what the interval's width comes from
    binds: str = ""


@dataclass(frozen=True)
class _Exchange:
    """Times of one exchange, and how much of it can hide behind computation."""

    node_s: float
    network_s: float
    sync_s: float
    overlap: float
    exposed: float

    @property
    def seconds(self) -> float:
        return math.hypot(self.node_s, self.network_s)

    def step_s(self, compute_s: float) -> float:
        """A micro-step with the exchange, from its computation alone."""
        whole = self.seconds
        hidden = (1 - self.exposed) * whole / compute_s
        longer = (1 + hidden**self.overlap) ** (1 / self.overlap) if hidden > 1e-9 else 1.0
        return compute_s * longer + self.exposed * whole + self.sync_s


def scaled_step(
    step_s: Estimate,
    gradient_bytes: float,
    gpus_per_node: float,
    nodes: int,
    link: Link,
    constants: ExchangeConstants,
    *,
    sharded: bool = False,
    accumulation: float = 1.0,
    traits: Traits | None = None,
    measured: Cluster | None = None,
    batch_ratio: float = 1.0,
) -> ScaledStep:
    """The step on `nodes` of `gpus_per_node` GPUs from one measured elsewhere (on one GPU unless `measured` says so).

    `step_s` spans all micro-steps up to an update. `batch_ratio` is the goal's batch per GPU and micro-step over the
    measured one's (1: weak scaling). `accumulation` is that of the goal; of the measured run too unless `measured` is given.
    """
    traits = traits or Traits()
    start = measured or Cluster(1, 1, accumulation)
    goal = Cluster(max(1.0, gpus_per_node), nodes, accumulation)
    before = _exchange(gradient_bytes, start, link, constants, traits, sharded)
    after = _exchange(gradient_bytes, goal, link, constants, traits, sharded)
    compute_s = _compute_s(step_s.value / _straggler(start, constants, traits, link), before, start, sharded)
    alone_s = compute_s * _batch_share(compute_s, gradient_bytes, batch_ratio, constants, traits)
    exchanges = goal.accumulation if sharded else 1.0
    together_s = after.step_s(alone_s)
    seconds = ((goal.accumulation - exchanges) * alone_s + exchanges * together_s) * _straggler(
        goal, constants, traits, link
    )
    work = batch_ratio * goal.accumulation / start.accumulation
    spread = constants.spread["network" if goal.nodes > 1 else "node"]
    doublings = abs(math.log2(goal.nodes / start.nodes)) if goal.nodes > 1 else abs(math.log2(goal.gpus / start.gpus))
    causes: Causes = (
        1.0,
        math.log(max(seconds / (goal.accumulation * alone_s), 1.0))
        * (1.0 if _measured(link, goal, constants) else NOT_MEASURED),
        doublings,
        abs(math.log(batch_ratio)),
        float(traits.site not in constants.factors.get("site_node", {})),
    )
    log_sd = 0.0 if goal == start and batch_ratio == 1 else spread.log_sd(causes)
    return ScaledStep(
        seconds,
        math.hypot(step_s.log_sd, log_sd),
        efficiency=work * step_s.value / seconds,
        exchange_s=after.seconds,
        exposed_s=exchanges * (together_s - alone_s),
        causes=causes,
        binds=_binds(after, alone_s, gradient_bytes * (SHARDED_TRAFFIC if sharded else 1.0), goal, link, constants),
    )


def all_reduce_s(gradient_bytes: float, gpus: float, fabric: Fabric, shared_power: float) -> float:
    """Seconds of one all-reduce between GPUs of a node, from its measured curves or its bandwidth."""
    if gpus < 2 or gradient_bytes <= 0:
        return 0.0
    if not fabric.curves:
        spread = (gpus / 2) ** shared_power if fabric.shared else 1.0
        return (30e-6 + 2 * (gpus - 1) / gpus * gradient_bytes / fabric.bytes_per_s) * spread
    below = max((curve for curve in fabric.curves if curve.gpus <= gpus), key=_gpus, default=fabric.curves[0])
    above = min((curve for curve in fabric.curves if curve.gpus >= gpus), key=_gpus, default=fabric.curves[-1])
    low = _on_curve(below, gradient_bytes)
    if above.gpus == below.gpus:
        return low * (gpus - 1) / gpus / ((below.gpus - 1) / below.gpus) if gpus > below.gpus else low
    weight = math.log(gpus / below.gpus) / math.log(above.gpus / below.gpus)
    return math.exp((1 - weight) * math.log(low) + weight * math.log(_on_curve(above, gradient_bytes)))


def network_rate(network: str, nominal_bytes_per_s: float, tcp_bytes_per_s: float) -> float:
    """Bytes/s of a node before what was fitted. TCP's few flows are capped, so that a wider network adds little."""
    nominal = max(nominal_bytes_per_s, 1e7)
    return nominal if network != "tcp" else nominal * tcp_bytes_per_s / (nominal + tcp_bytes_per_s)


def link_of(instance: Instance, accelerator: Accelerator) -> Link:
    """The links of an instance type, from the catalog's facts. Without EFA its nodes talk over TCP."""
    name = accelerator.name.upper().replace("_", "-")
    known = next((fabric for fabric in (*SWITCHED, *BY_NAME) if fabric in name), "")
    if instance.interconnect == "neuronlink" or accelerator.vendor.lower() not in ("nvidia", "amd"):
        fabric = "other"
    elif known in BY_NAME:
        fabric = BY_NAME[known]
    elif known and instance.interconnect in ("nvswitch", "nvlink", "none"):
        fabric = known
    elif instance.interconnect in ("nvlink", "nvswitch"):
        fabric = "nvlink2"
    else:
        fabric = _pcie(accelerator.pcie_bytes_per_s)
    direct = fabric == "other" or fabric in SWITCHED
    return Link(
        fabric=fabric,
        network=("efa" if direct else "efa_host") if instance.efa else "tcp",
        network_bytes_per_s=instance.network_bytes_per_s,
        bytes_per_s=accelerator.link_bytes_per_s,
    )


def _pcie(bytes_per_s: float | None) -> str:
    if bytes_per_s is None or bytes_per_s < 20e9:
        return "pcie3"
    return "pcie4" if bytes_per_s < 40e9 else "pcie5"


def _gpus(curve: Curve) -> int:
    return curve.gpus


def _on_curve(curve: Curve, size: float) -> float:
    """Between measured sizes by logarithms; above the largest in proportion; below the smallest as long as that."""
    sizes, seconds = curve.sizes, curve.seconds
    if size <= sizes[0]:
        return seconds[0]
    if size >= sizes[-1]:
        return seconds[-1] * size / sizes[-1]
    right = next(i for i, measured in enumerate(sizes) if measured >= size)
    weight = math.log(size / sizes[right - 1]) / math.log(sizes[right] / sizes[right - 1])
    return math.exp((1 - weight) * math.log(seconds[right - 1]) + weight * math.log(seconds[right]))


def _measured(link: Link, goal: Cluster, constants: ExchangeConstants) -> bool:
    """Whether all-reduce or training was ever measured over what the goal uses."""
    inside = goal.gpus_per_node <= 1 or link.fabric in constants.fabrics
    return inside and (goal.nodes <= 1 or link.network in ("efa", "rdma", "tcp"))


def _fabric(link: Link, constants: ExchangeConstants) -> Fabric:
    known = constants.fabrics.get(link.fabric)
    if known is not None:
        return known
    return Fabric(link.fabric or "an unknown link", (), 0.4 * link.bytes_per_s if link.bytes_per_s else 6e9, True)


def _exchange(
    gradient_bytes: float, cluster: Cluster, link: Link, constants: ExchangeConstants, traits: Traits, sharded: bool
) -> _Exchange:
    far = cluster.nodes > 1
    framework = constants.factor("framework", traits.framework)
    traffic = SHARDED_TRAFFIC if sharded else 1.0
    node_s = network_s = sync_s = 0.0
    if cluster.gpus_per_node > 1:
        faster = constants.factor("fabric", link.fabric) + constants.factor("site_node", traits.site) + framework
        alone = all_reduce_s(gradient_bytes, cluster.gpus_per_node, _fabric(link, constants), constants.shared_power)
        node_s = traffic * alone * math.exp(-faster)
        more = ((cluster.gpus_per_node - 1) / 7) ** constants.sync_power
        slower = constants.factor("framework_sync", traits.framework) + constants.factor("domain_sync", traits.domain)
        sync_s = constants.sync_s * more * math.exp(slower)
    if far:
        faster = constants.factor("network", link.network) + constants.factor("site_network", traits.site) + framework
        sent = 2 * (cluster.nodes - 1) / cluster.nodes * gradient_bytes
        rate = network_rate(link.network, link.network_bytes_per_s, constants.tcp_bytes_per_s) * math.exp(faster)
        network_s = constants.network_latency_s * math.log2(cluster.nodes) + traffic * sent / rate
    exposed = constants.exposed[far]
    exposed += (1 - exposed) * math.exp(-((gradient_bytes / constants.bucket_bytes) ** 2))
    return _Exchange(node_s, network_s, sync_s, constants.overlap[far], exposed)


def _compute_s(step_s: float, exchange: _Exchange, cluster: Cluster, sharded: bool) -> float:
    """A micro-step's computation alone, from the whole measured step: the fixed point of what the exchange adds to it."""
    exchanges = cluster.accumulation if sharded else 1.0
    compute_s = step_s / cluster.accumulation
    if cluster.gpus <= 1:
        return compute_s
    least = LEAST_COMPUTE * compute_s
    for _ in range(6):
        added = exchange.step_s(compute_s) - compute_s
        compute_s = max((step_s - exchanges * added) / cluster.accumulation, least)
    return compute_s


def _batch_share(
    compute_s: float, gradient_bytes: float, ratio: float, constants: ExchangeConstants, traits: Traits
) -> float:
    """Time of a micro-step at another batch over that at the measured one: launches and the update do not shrink."""
    if ratio == 1:
        return 1.0
    kept = constants.step_latency_s * math.exp(constants.factor("domain_latency", traits.domain))
    kept = (kept + constants.update_s_per_byte * gradient_bytes) / compute_s
    kept = kept / (1 + kept / LATENCY_SHARE)
    return kept + (1 - kept) * ratio


def _straggler(cluster: Cluster, constants: ExchangeConstants, traits: Traits, link: Link) -> float:
    """How much longer a step is for waiting for the slowest of its GPUs."""
    inside = constants.straggler[0] + constants.factor("publisher_node", traits.publisher)
    inside += constants.factor("site_straggler", traits.site) + constants.factor("fabric_straggler", link.fabric)
    between = constants.straggler[1] + constants.factor("publisher_network", traits.publisher)
    longer = 1 + inside * math.log2(max(cluster.gpus_per_node, 1)) + between * math.log2(cluster.nodes)
    return max(longer, 0.5)


def _binds(
    exchange: _Exchange, compute_s: float, traffic: float, goal: Cluster, link: Link, constants: ExchangeConstants
) -> str:
    """What the cluster's step is bound by, in words."""
    if goal.gpus <= 1:
        return "computation: one GPU exchanges nothing"
    added = exchange.step_s(compute_s) - compute_s
    if added < 0.05 * compute_s:
        return f"computation: the exchange adds {added / compute_s:.0%} to a step"
    if exchange.sync_s > 0.5 * added:
        return f"synchronisation: {exchange.sync_s * 1e3:.0f} ms of a step of {(compute_s + added) * 1e3:.0f} ms"
    if exchange.network_s > exchange.node_s:
        rate = 2 * (goal.nodes - 1) / goal.nodes * traffic / exchange.network_s
        title = NETWORK_TITLES.get(link.network, link.network)
        return f"all-reduce between nodes over {title}, {rate / 1e9:.3g} GB/s a node"
    rate = 2 * (goal.gpus_per_node - 1) / goal.gpus_per_node * traffic / exchange.node_s
    return f"all-reduce over {_fabric(link, constants).title}, {rate / 1e9:.3g} GB/s"
