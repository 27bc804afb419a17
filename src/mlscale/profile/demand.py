"""What one batch asks of each stage, in seconds. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlscale.profile.job import Cpu, Demand, Loader, TrainingThread, Workers
from mlscale.profile.timeline import Rate


def demand_of(
    rates: Sequence[Rate],
    thread: TrainingThread | None,
    workers: Workers | None,
    cpu: Cpu | None,
    loader: Loader | None,
    cpu_swing: float | None = None,
) -> Demand | None:
    """Seconds per batch at each stage, for one rank: shares of the time over `rates`, one for each rank.

    None where no counter told the rate, or no steady training or no CPU time was seen.
    """
    if not rates or cpu is None or thread is None:
        return None
    total = sum(rate.value for rate in rates)
    per_rank = total / len(rates)
    inline = loader is not None and loader.worker_kind == "inline"
    count = loader.workers if loader else 0
    if inline or workers is None or not count:
        cpu_s, io_s, hand_over_s = thread.data_cpu / per_rank, thread.data_io_wait / per_rank, 0.0
    else:
        cpu_s = cpu.worker_cores / total
        io_s = workers.io_wait * count / per_rank
        hand_over_s = workers.hand_over * count / per_rank
    return Demand(
        batches_per_s=per_rank,
        worker_cpu_s=cpu_s,
        worker_io_s=io_s,
        hand_over_s=hand_over_s,
        step_s=(thread.step + thread.overlap) / per_rank,
        host_s=thread.host / per_rank,
        save_s=thread.save / per_rank,
        communication_s=thread.communication / per_rank,
        training_cpu_s=max(0.0, cpu.training_cores / total - (cpu_s if inline else 0.0)),
        cpu_swing=cpu_swing,
    )
