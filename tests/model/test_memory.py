"""Memory: against published figures of Megatron runs, and its laws."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlscale.model.memory import memory_fit, state_bytes
from tests.model.facts import CONSTANTS, GIB, accelerator, workload

PUBLISHED = Path(__file__).parents[3] / "shared" / "validation" / "megatron_memory_time_calculon.csv"
PARAMETERS = {"megatron-22B": 22e9, "gpt3-175B": 175e9, "turing-530B": 530e9, "megatron-1T": 1008e9}


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="published measurements are not here")
def test_state_agrees_with_megatrons_published_memory() -> None:
    """18 bytes a parameter: BF16 weights, FP32 gradients, Adam with master weights."""
    for row in csv.DictReader(PUBLISHED.open()):
        parameters = PARAMETERS[row["model"]]
        job = workload(parameters=parameters, optimizer_bytes_per_parameter=18)
        told = float(row["params_opt_GiB"]) * GIB * float(row["n_gpus_A100_80GB"])
        assert state_bytes(job) == pytest.approx(told, rel=0.03), row["model"]


def test_a_model_of_a_billion_takes_sixteen_bytes_a_parameter() -> None:
    assert state_bytes(workload()) == pytest.approx(16e9)
    fit = memory_fit(workload(), accelerator(), 1, 1, CONSTANTS)
    assert fit.fits and not fit.sharded and fit.batch_per_gpu == 8
    assert fit.bytes_per_gpu == pytest.approx((16e9 + 8e9) * CONSTANTS.memory_slack + CONSTANTS.memory_context_bytes)
    assert fit.max_batch_per_gpu == int((80 * GIB - 1e9) / CONSTANTS.memory_slack / 1e9 - 16)


def test_a_big_model_is_sharded_or_does_not_fit() -> None:
    big = workload(parameters=8e9)
    alone = memory_fit(big, accelerator(), 1, 1, CONSTANTS)
    assert not alone.fits and "are needed for one sample" in alone.why
    eight = memory_fit(big, accelerator(), 8, 1, CONSTANTS)
    assert eight.fits and eight.sharded and "sharded over 8" in eight.why
    assert not memory_fit(workload(parameters=1e12), accelerator(), 8, 1, CONSTANTS).fits


def test_a_batch_somewhat_smaller_is_taken_before_sharding() -> None:
    tight = workload(activation_bytes_per_sample=12e9)
    whole = memory_fit(tight, accelerator(), 8, 1, CONSTANTS)
    assert not whole.sharded and 2 <= whole.batch_per_gpu < 8
    tighter = workload(activation_bytes_per_sample=40e9)
    assert memory_fit(tighter, accelerator(), 8, 1, CONSTANTS).batch_per_gpu == 1


def test_a_smaller_batch_is_said() -> None:
    hungry = workload(activation_bytes_per_sample=12e9)
    fit = memory_fit(hungry, accelerator(), 1, 1, CONSTANTS)
    assert fit.fits and fit.batch_per_gpu == fit.max_batch_per_gpu < 8 and "8 do not fit" in fit.why


@given(
    st.floats(1e6, 1e11),
    st.floats(1e6, 1e11),
    st.integers(1, 8),
    st.integers(1, 64),
    st.floats(8e9, 3e11),
    st.integers(1, 512),
)
def test_more_memory_and_more_gpus_never_fit_less(
    parameters: float, activation: float, gpus: int, nodes: int, memory: float, batch: int
) -> None:
    step = dataclasses.replace(workload().step, batch_per_gpu=batch)
    job = workload(parameters=parameters, activation_bytes_per_sample=activation, step=step)
    some = memory_fit(job, accelerator(memory), gpus, nodes, CONSTANTS)
    roomier = memory_fit(job, accelerator(memory * 1.5), gpus, nodes, CONSTANTS)
    wider = memory_fit(job, accelerator(memory), gpus, nodes * 2, CONSTANTS)
    for more in (roomier, wider):
        assert more.fits >= some.fits
        # Where there is no more need to shard, a quarter of the batch is held to be enough.
        assert more.batch_per_gpu >= min(some.batch_per_gpu, batch / 4 if some.sharded > more.sharded else batch)
    assert some.fits == (some.max_batch_per_gpu >= 1)
    if some.fits:
        assert some.bytes_per_gpu <= memory and 1 <= some.batch_per_gpu <= min(batch, some.max_batch_per_gpu)
