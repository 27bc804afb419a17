"""The exchange model: limits that must hold, the catalog's links, its speed, and the fit's equations against it."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.published import scaling_fit, scaling_predict
from benchmarks.published.scaling_rows import Pair, Run, against_smallest, fabric_of, number, precision_of
from hypothesis import given
from hypothesis import strategies as st

from mlscale.calibration.exchange import exchange_of, read_exchange_constants
from mlscale.catalog.read import load
from mlscale.errors import UnreadableInput
from mlscale.model.estimate import Estimate
from mlscale.model.exchange import Cluster, Fabric, Link, Traits, all_reduce_s, link_of, scaled_step
from tests.model.facts import accelerator, instance

PATH = Path(__file__).parents[2] / "profiles" / "calibration" / "exchange.yaml"
CONSTANTS = read_exchange_constants(PATH)
SWITCH = Link("H100", "efa", 400e9)
RESNET, BERT = 102e6, 1.34e9  # bytes of gradients in FP32
STEP = Estimate(0.2, 0.03)


def test_one_gpu_is_what_was_measured() -> None:
    alone = scaled_step(STEP, BERT, 1, 1, SWITCH, CONSTANTS)
    assert (alone.value, alone.log_sd, alone.efficiency) == pytest.approx((0.2, 0.03, 1.0))
    assert "one GPU" in alone.binds


def test_eight_on_pcie_are_not_eight_on_nvswitch() -> None:
    switched = scaled_step(STEP, BERT, 8, 1, SWITCH, CONSTANTS)
    shared = scaled_step(STEP, BERT, 8, 1, Link("L40S"), CONSTANTS)
    assert switched.efficiency > 0.9
    assert shared.efficiency < 0.3
    assert "PCIe (L40S), 1.3" in shared.binds or "PCIe (L40S), 1.4" in shared.binds
    assert shared.log_sd > 2 * switched.log_sd


def test_without_efa_nodes_are_slow_and_the_interval_is_wide() -> None:
    efa = scaled_step(STEP, BERT, 8, 4, Link("A100", "efa", 50e9), CONSTANTS)
    tcp = scaled_step(STEP, BERT, 8, 4, Link("A100", "tcp", 50e9), CONSTANTS)
    assert tcp.value > 5 * efa.value
    assert tcp.high / tcp.low > 2 * efa.high / efa.low
    assert "TCP without EFA" in tcp.binds
    unknown = scaled_step(STEP, BERT, 8, 4, Link("A100", "efa_host", 12.5e9), CONSTANTS)
    known = scaled_step(STEP, BERT, 8, 4, Link("A100", "rdma", 12.5e9), CONSTANTS)
    assert unknown.log_sd > known.log_sd


@given(
    seconds=st.floats(1e-3, 100),
    size=st.floats(1e5, 1e11),
    gpus=st.sampled_from([1, 2, 4, 8, 16]),
    nodes=st.integers(1, 512),
    link=st.sampled_from(
        [SWITCH, Link("L40S", "tcp", 12.5e9), Link("nvlink2", "rdma", 12.5e9), Link("?", "efa_host", 1e9)]
    ),
    sharded=st.booleans(),
    accumulation=st.integers(1, 64),
)
def test_whatever_the_job_more_gradients_never_help(
    seconds: float, size: float, gpus: int, nodes: int, link: Link, sharded: bool, accumulation: int
) -> None:
    def at(size: float, nodes: int = nodes) -> float:
        step = scaled_step(
            Estimate(seconds), size, gpus, nodes, link, CONSTANTS, sharded=sharded, accumulation=accumulation
        )
        assert math.isfinite(step.value) and step.value > 0 and 0 < step.efficiency < 1.05
        assert gpus * nodes == 1 or step.log_sd > 0
        assert step.binds
        return step.value

    # Below one bucket an exchange cannot overlap: a larger one may leave in pieces, and be hidden.
    if size > 60e6:
        assert at(2 * size) >= at(size) * (1 - 1e-9)
    assert at(size, 2 * nodes) >= at(size) * (1 - 1e-9)


def test_accumulation_spreads_the_exchange_over_more_work() -> None:
    link = Link("A100", "rdma", 12.5e9)
    one = scaled_step(Estimate(0.2), BERT, 8, 8, link, CONSTANTS)
    many = scaled_step(Estimate(1.6), BERT, 8, 8, link, CONSTANTS, accumulation=8)
    assert many.efficiency > one.efficiency
    sharded = scaled_step(Estimate(1.6), BERT, 8, 8, link, CONSTANTS, accumulation=8, sharded=True)
    assert sharded.efficiency < many.efficiency  # it gathers parameters in every micro-step


def test_from_one_node_to_itself_changes_nothing() -> None:
    node = Cluster(8, 2, 4)
    back = scaled_step(STEP, BERT, 8, 2, SWITCH, CONSTANTS, measured=node, accumulation=4)
    assert (back.value, back.efficiency) == pytest.approx((0.2, 1.0), rel=0.01)
    assert back.log_sd == 0.03


def test_a_measured_node_tells_what_its_exchange_hides() -> None:
    """From one GPU to a node, and from that node's step on to four: as from one GPU to four nodes."""
    node = scaled_step(Estimate(0.2), BERT, 8, 1, SWITCH, CONSTANTS)
    step = scaled_step(Estimate(node.value), BERT, 8, 4, SWITCH, CONSTANTS, measured=Cluster(8, 1))
    assert step.value == pytest.approx(scaled_step(Estimate(0.2), BERT, 8, 4, SWITCH, CONSTANTS).value, rel=0.02)


def test_a_smaller_batch_keeps_launches_and_update() -> None:
    half = scaled_step(STEP, RESNET, 8, 8, SWITCH, CONSTANTS, measured=Cluster(8, 1), batch_ratio=0.125)
    same = scaled_step(STEP, RESNET, 8, 8, SWITCH, CONSTANTS, measured=Cluster(8, 1))
    assert 0.125 * same.value < half.value < same.value
    assert half.log_sd > same.log_sd


def test_all_reduce_follows_its_curve() -> None:
    fabric = CONSTANTS.fabrics["H100"]
    eight = next(curve for curve in fabric.curves if curve.gpus == 8)
    for size, seconds in zip(eight.sizes, eight.seconds, strict=True):
        assert all_reduce_s(size, 8, fabric, 0.2) == pytest.approx(seconds)
    assert all_reduce_s(4 * eight.sizes[-1], 8, fabric, 0.2) == pytest.approx(4 * eight.seconds[-1])
    three = all_reduce_s(1e8, 3, fabric, 0.2)
    assert min(all_reduce_s(1e8, n, fabric, 0.2) for n in (2, 4)) <= three <= all_reduce_s(1e8, 4, fabric, 0.2)
    assert all_reduce_s(1e8, 1, fabric, 0.2) == 0
    shared = Fabric("PCIe", (), 1e10, True)
    assert all_reduce_s(1e9, 8, shared, 0.3) > all_reduce_s(1e9, 4, shared, 0.3) > all_reduce_s(1e9, 2, shared, 0.3)


def test_links_of_the_catalog() -> None:
    catalog = load()

    def link(name: str) -> Link:
        found = catalog.instances[name]
        assert found.accelerator is not None
        return link_of(found, catalog.accelerators[found.accelerator])

    assert (link("p5.48xlarge").fabric, link("p5.48xlarge").network) == ("H100", "efa")
    assert link("p4d.24xlarge").fabric == "A100"
    assert (link("g6e.48xlarge").fabric, link("g6e.48xlarge").network) == ("L40S", "efa_host")
    assert (link("p3.16xlarge").fabric, link("p3.16xlarge").network) == ("nvlink2", "tcp")
    assert link("g4dn.12xlarge").fabric == "pcie3"
    assert link("p2.16xlarge").network == "tcp"
    for each in catalog.instances.values():
        if each.accelerator:
            assert link_of(each, catalog.accelerators[each.accelerator]).fabric in CONSTANTS.fabrics, each.name


def test_an_unknown_gpu_of_a_switched_node_is_not_taken_for_pcie() -> None:
    assert link_of(instance(), accelerator()).fabric == "nvlink2"
    assert link_of(instance(interconnect="pcie"), accelerator()).fabric.startswith("pcie")


def test_fifty_microseconds() -> None:
    traits = Traits("pytorch", "language")
    started = time.perf_counter()
    for nodes in range(1, 1001):
        scaled_step(STEP, BERT, 8, nodes, SWITCH, CONSTANTS, traits=traits)
    assert (time.perf_counter() - started) / 1000 < 200e-6  # 50 µs is the aim; the machine may be busy


def test_the_file_is_checked(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="No such file"):
        read_exchange_constants(tmp_path / "none.yaml")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("[1, 2]")
    with pytest.raises(UnreadableInput, match="mapping"):
        read_exchange_constants(wrong)
    with pytest.raises(UnreadableInput, match="'fitted' is missing"):
        exchange_of({"source": "x"}, "a file")
    wrong.write_text(PATH.read_text().replace("bucket_bytes: 25000000.0", "bucket_bytes: many"))
    with pytest.raises(UnreadableInput, match="many"):
        read_exchange_constants(wrong)


def pair(**changes: object) -> Pair:
    plain = Pair(
        table="a table", group="a model", what="x8", base=Run(1, 1, 100.0, 32.0), goal=Run(8, 1, 700.0, 32.0), site="here/box",
        fabric="pcie4", network="rdma", network_bytes_per_s=12.5e9, gradient_parameters=110e6, known=True,
        units_per_sample=1.0, domain="language", framework="pytorch", precision="fp32",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


PAIRS = [
    pair(),
    pair(group="b", fabric="H100", goal=Run(16, 2, 1200.0, 32.0), base=Run(8, 1, 700.0, 32.0), precision="bf16"),
    pair(group="c", fabric="L40S", goal=Run(4, 1, 300.0, 8.0), site="there/box", framework="tensorflow"),
    pair(group="d", goal=Run(64, 8, 4e3, 32.0, 2), base=Run(8, 1, 700.0, 64.0, 16), network="tcp", domain="speech"),
    pair(
        group="e",
        sharded=True,
        goal=Run(64, 8, 5e3, 32.0, 2),
        base=Run(16, 2, 1400.0, 32.0, 4),
        gradient_parameters=7e9,
    ),
]


def test_the_fit_has_the_models_equations() -> None:
    data = scaling_fit.data_of(PAIRS, CONSTANTS.fabrics)
    layout = scaling_fit.Layout(data, CONSTANTS.fabrics, {})
    x = layout.mean + layout.sd * np.random.default_rng(1).normal(size=len(layout.mean)) * 0.5
    constants = scaling_predict.constants_of(x, layout, CONSTANTS, data)
    fitted = scaling_fit.log_efficiencies(layout.scalars(x), layout.spread_out(x, data), data)
    shipped = [math.log(scaling_predict.predict(each, constants).efficiency) for each in PAIRS]
    assert fitted == pytest.approx(shipped, abs=1e-9)


def test_the_fit_finds_the_constants_that_made_its_data() -> None:
    """A slower site and a slower framework, told from their scaling alone."""
    rng = np.random.default_rng(2)
    made = []
    slow = dataclasses.replace(CONSTANTS, factors={"site_node": {"here/box": -1.0, "there/box": 0.0}})
    for number_ in range(60):
        site = ("here/box", "there/box")[number_ % 2]
        plain = pair(group=f"model {number_}", site=site, gradient_parameters=float(rng.uniform(5e7, 4e8)))
        efficiency = scaling_predict.predict(plain, slow).efficiency
        made.append(dataclasses.replace(plain, goal=Run(8, 1, 800.0 * efficiency, 32.0)))
    data = scaling_fit.data_of(made, CONSTANTS.fabrics)
    layout = scaling_fit.Layout(data, CONSTANTS.fabrics, {})
    x = scaling_fit.fit(data, layout)
    left = scaling_fit.log_efficiencies(layout.scalars(x), layout.spread_out(x, data), data) - data.log_efficiency
    assert np.median(np.abs(left)) < 0.01
    sites = layout.factors(x)["site_node"]
    assert sites["there/box"] - sites["here/box"] > 0.5


def test_a_group_is_predicted_without_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group whose truth is absurd must not move its own prediction."""
    shipped = dataclasses.replace(CONSTANTS, groups=frozenset(f"model {n}" for n in range(30)))
    made = [pair(group=f"model {n}", goal=Run(8, 1, 700.0 + n, 32.0)) for n in range(30)]
    honest = scaling_predict.without_group(made, shipped)["model 3"]
    absurd = [dataclasses.replace(p, goal=Run(8, 1, 90.0, 32.0)) if p.group == "model 3" else p for p in made]
    told = scaling_predict.without_group(absurd, shipped)["model 3"]
    assert scaling_predict.predict(made[3], told).value == pytest.approx(
        scaling_predict.predict(made[3], honest).value, rel=2e-3
    )


def test_tables_that_are_missing_are_passed_over(tmp_path: Path) -> None:
    assert scaling_predict.outcomes(tmp_path, "node_scaling") == []
    assert scaling_predict.outcomes(tmp_path, "multi_node") == []


def test_cells_of_tables() -> None:
    assert (number("4k"), number("12,345.6"), number("see"), number(None)) == (4096, 12345.6, None, None)
    assert [precision_of(text) for text in ("FP16-AMP", "TF32", "amp_bf16", "FP32", "FP8")] == [
        "fp16",
        "tf32",
        "bf16",
        "fp32",
        "fp8",
    ]
    assert [
        fabric_of(name) for name in ("A100_PCIe", "A100-SXM4-80GB", "NVIDIA H100 PCIe", "L40S", "K80", "RTX A6000")
    ] == [
        "pcie4",
        "A100",
        "pcie5",
        "L40S",
        "pcie3",
        "pcie4",
    ]
    runs = [(Run(1, 1, 10.0), "a"), (Run(1, 1, 12.0), "b"), (Run(1, 1, 11.0), "c"), (Run(8, 1, 80.0), "d")]
    assert [(base.samples_per_s, what) for base, _, what in against_smallest(runs)] == [(11.0, "d")]
