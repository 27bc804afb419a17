"""Whether a training job fits an accelerator's memory, whole or sharded over several. Pure; docs/model-storage.md."""

from __future__ import annotations

from dataclasses import dataclass

from mlscale.catalog.types import Accelerator, Workload
from mlscale.model.storage_constants import StorageConstants

WEIGHT_BYTES = {"fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 2.0}  # fp8: weights kept in 16 bits

# A batch down to this share is made up for by accumulating gradients, at little cost; sharding sends the weights around.
LEAST_BATCH_SHARE = 0.25


@dataclass(frozen=True)
class MemoryFit:
    """`bytes_per_gpu` at the batch that will be run, `batch_per_gpu`: the profile's own, or the most that fits."""

    fits: bool
    sharded: bool
    bytes_per_gpu: float
    max_batch_per_gpu: int
    batch_per_gpu: int
    why: str


def memory_fit(
    workload: Workload, accelerator: Accelerator, gpus: int, nodes: int, constants: StorageConstants
) -> MemoryFit:
    """Whole on each of `gpus` x `nodes` accelerators if a good part of the profile's batch fits beside it, else sharded
    over all of them if that lets more fit."""
    world = max(1, gpus * nodes)
    room = accelerator.memory_bytes
    whole = state_bytes(workload)
    apart = whole / world + constants.unsharded_fraction * workload.parameters * WEIGHT_BYTES[workload.step.precision]
    batch = max(1, workload.step.batch_per_gpu)
    most_whole = _most(workload, whole, room, constants)
    most_apart = _most(workload, apart, room, constants) if world > 1 else 0
    sharded = most_whole < batch * LEAST_BATCH_SHARE and most_apart > most_whole
    state, most = (apart, most_apart) if sharded else (whole, most_whole)
    run = min(batch, most) if most else 1
    taken = taken_bytes(workload, state, run, constants)
    told = f"{taken / 1e9:.1f} of {room / 1e9:.1f} GB"
    how = f" sharded over {world}" if sharded else ""
    if most < 1:
        lacking = f"{taken / 1e9:.0f} GB are needed for one sample{how}, {accelerator.name} has {room / 1e9:.0f} GB"
        return MemoryFit(False, sharded, taken, 0, 0, lacking)
    why = f"{told}{how} at {run} a GPU"
    if run < batch:
        why += f"; {batch} do not fit"
    return MemoryFit(True, sharded, taken, most, run, why)


def state_bytes(workload: Workload) -> float:
    """Weights, gradients and optimizer state of the whole model: `optimizer_bytes_per_parameter` counts all three."""
    return workload.parameters * workload.optimizer_bytes_per_parameter


def taken_bytes(workload: Workload, state: float, batch: float, constants: StorageConstants) -> float:
    """With activations, the allocator's slack and the context."""
    tensors = state + batch * workload.activation_bytes_per_sample
    return tensors * constants.memory_slack + constants.memory_context_bytes


def _most(workload: Workload, state: float, room: float, constants: StorageConstants) -> int:
    """Samples a GPU that fit beside the state."""
    left = (room - constants.memory_context_bytes) / constants.memory_slack - state
    if left <= 0:
        return 0
    if workload.activation_bytes_per_sample <= 0:
        return 1_000_000
    return int(min(1_000_000, left / workload.activation_bytes_per_sample))
