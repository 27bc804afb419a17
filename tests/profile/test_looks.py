"""What a look stands for: the kernel's and the GPU's counts are kept, and looks divide what is left."""

from __future__ import annotations

import pytest

from mlscale.profile.job import TrainingThread
from mlscale.profile.training import Look, divide
from mlscale.recording import Stack, StackFrame, ThreadSample

WINDOW_S = 20.0
BACKWARD: Stack = (StackFrame("_engine_run_backward", "/x/site-packages/torch/autograd/graph.py", 1),)
PLAIN: Stack = (StackFrame("main", "/x/train.py", 1),)


def looks_of(
    *groups: tuple[str, str, int], cpu: float = 0.0, queue: float = 0.0, late: int = 0, stack: Stack = PLAIN
) -> list[Look]:
    """Looks by (activity, state, count); `cpu` and `queue` are the kernel's totals, shares of the time. The first `late` of the
    last group's come late; `stack` is that of the last group."""
    found: list[Look] = []
    total = sum(count for _, _, count in groups)
    for at, (what, state, count) in enumerate(groups):
        for number in range(count):
            t = WINDOW_S * len(found) / total
            last = at == len(groups) - 1
            sample = ThreadSample(
                t, 1, 1, state, int(t * cpu * 1e9), int(t * queue * 1e9), 1, "sleep", 0, late=last and number < late
            )
            found.append(Look(sample, what, stack if last else PLAIN))
    return found


def divided(
    looks: list[Look], gpu_busy: float | None, ranks: int = 1, throttled: bool = False, beside: float = 0.0
) -> TrainingThread:
    found = divide(
        looks,
        [(0.0, WINDOW_S)],
        gpu_busy=gpu_busy,
        inline=False,
        ranks=ranks,
        throttled=throttled,
        beside=beside,
    )
    assert found is not None
    return found


def test_both_counts_are_kept() -> None:
    """30 % of the time it ran, all of it while it took batches over; the GPU worked half of the time."""
    looks = looks_of(("data", "R", 100), ("data", "S", 100), ("step", "S", 180), cpu=0.3)
    thread = divided(looks, 0.5)
    assert thread.step == pytest.approx(0.5, abs=1e-3)
    assert thread.receive == pytest.approx(0.3, abs=1e-3)
    assert thread.data == pytest.approx(0.5, abs=1e-3)


def test_a_late_look_tells_nothing_of_a_sleep() -> None:
    """It meant to see the thread run, and saw the step that came after."""
    prompt = divided(looks_of(("data", "R", 40), ("data", "S", 200), ("step", "S", 160), cpu=0.2), None)
    late = divided(looks_of(("data", "R", 40), ("data", "S", 200), ("step", "S", 200), cpu=0.2, late=40), None)
    assert late.step == pytest.approx(prompt.step)
    assert divided(looks_of(("data", "R", 40), ("data", "S", 200), ("step", "S", 200), cpu=0.2), None).step > late.step


def test_late_looks_at_a_sleep_count_where_none_at_the_running_thread_is_missing() -> None:
    """A rank waits for another one whose work fills the cores: looks come late there, and it slept all the same."""
    groups = (("data", "R", 20), ("step", "S", 100), ("data", "S", 80))
    all_seen = divided(looks_of(*groups, cpu=0.1, late=40), None)
    assert all_seen.step == pytest.approx(0.5)
    half_missing = divided(looks_of(*groups, cpu=0.2, late=40), None)  # 20 of the 40 were looks at the running thread
    assert half_missing.step == pytest.approx(0.8 * 100 / 160)


def test_where_most_looks_are_late_all_count() -> None:
    all_late = divided(looks_of(("step", "R", 40), ("step", "S", 200), cpu=0.2, late=200), None)
    assert all_late.step == pytest.approx(1.0)


def test_a_rank_that_blocks_in_its_backward_pass_beside_an_idle_gpu_waits_for_others() -> None:
    looks = looks_of(("step", "S", 240), ("step", "S", 160), stack=BACKWARD)
    alone, together = divided(looks, 0.62), divided(looks, 0.62, ranks=2)
    assert alone.communication == 0
    assert together.communication == pytest.approx(0.38, abs=1e-3)
    assert together.step == pytest.approx(0.62, abs=1e-3)


def test_a_gpu_that_works_through_the_backward_pass_waits_for_nobody() -> None:
    looks = looks_of(("step", "S", 240), ("step", "S", 160), stack=BACKWARD)
    assert divided(looks, 0.99, ranks=2).communication <= 0.02


@pytest.mark.parametrize("gpu_busy", [0.35, 0.8])
def test_to_wait_for_a_core_once_the_gpu_is_done_is_no_host_work(gpu_busy: float) -> None:
    """The thread runs 3 % of the time and wants to 45 %. A driver may count the GPU as busy meanwhile, or not."""
    looks = looks_of(("data", "S", 80), ("step", "R", 180), ("step", "S", 140), cpu=0.03)
    thread = divided(looks, gpu_busy, throttled=True)
    assert thread.host == pytest.approx(0, abs=0.01)
    assert thread.step == pytest.approx(0.8, abs=0.04)  # of its 3 %, looks do not tell how much is the step's
    assert thread.queue == pytest.approx(0.42, abs=0.01)


@pytest.mark.parametrize("gpu_busy", [0.41, 0.49])
def test_a_wait_for_a_core_behind_the_gpu_is_no_wait_for_data(gpu_busy: float) -> None:
    """A tenth of the time the thread waits for a core in its step, be that counted as the GPU's or not."""
    groups = (("data", "S", 180), ("data", "R", 20), ("step", "R", 40), ("step", "S", 160))
    looks = looks_of(*groups, cpu=0.05, queue=0.1)
    thread = divided(looks, gpu_busy)
    assert thread.data == pytest.approx(0.5, abs=0.02)
    assert thread.host == pytest.approx(0, abs=0.001)


def test_of_short_waits_for_a_core_the_gpu_says_what_the_step_is() -> None:
    """2 % of the time, by which looks see more of the step: chance alone moves them by more."""
    looks = looks_of(("data", "S", 196), ("step", "R", 8), ("step", "S", 196), queue=0.02)
    assert divided(looks, 0.49).step == pytest.approx(0.49, abs=0.001)


def test_a_step_longer_than_by_chance_is_so_by_its_waits_for_a_core() -> None:
    """Looks see 60 %, 8 % more than the GPU works: chance alone (7.3 %) is too little, and 2 % are waits for a core."""
    looks = looks_of(("data", "S", 160), ("step", "R", 8), ("step", "S", 232), queue=0.02)
    thread = divided(looks, 0.52)
    assert thread.step == pytest.approx(0.54, abs=0.001)
    assert thread.host == pytest.approx(0, abs=0.001)


def test_a_quotas_stops_are_told_by_the_gpu_where_it_idles_meanwhile() -> None:
    """Looks see 30 % of the time in the run queue by chance; the GPU works 40 %, and the step takes 80 %."""
    looks = looks_of(("data", "S", 80), ("step", "R", 144), ("step", "S", 176), cpu=0.0)
    thread = divided(looks, 0.4, throttled=True)
    assert thread.step - thread.queue == pytest.approx(0.4, abs=0.001)


def test_host_work_beside_a_wait_for_a_core_stays_host_work() -> None:
    """A quarter of the time is Python, a part of the rest waits for a core: looks tell them apart."""
    looks = looks_of(("python", "R", 100), ("step", "R", 140), ("step", "S", 160), cpu=0.3)
    exact, later = (divided(looks, busy, throttled=True).host for busy in (0.6, 0.75))
    assert exact == pytest.approx(0.25, abs=0.01) and later == pytest.approx(0.25, abs=0.01)


FORWARD: Stack = (
    StackFrame("linear", "/x/site-packages/torch/nn/modules/linear.py", 1),
    StackFrame("forward", "/x/train.py", 1),
)
OWN_STEP: Stack = (StackFrame("train_step", "/x/train.py", 1),)


def test_a_gpu_that_idles_while_torch_runs_waits_for_its_kernels() -> None:
    """The GPU works 40 % of the time; the thread is in the model all the time but for a tenth."""
    thread = divided(looks_of(("python", "R", 40), ("step", "R", 360), cpu=1.0, stack=FORWARD), 0.4)
    assert thread.step == pytest.approx(0.4)
    assert thread.host == pytest.approx(0.6)
    assert thread.launch == pytest.approx(0.5)


def test_work_of_ones_own_in_the_step_is_no_launching() -> None:
    """A function named after the step computes all the time, in numpy say: it is the one to look at."""
    thread = divided(looks_of(("data", "S", 40), ("step", "R", 360), cpu=0.9, stack=OWN_STEP), 0.4)
    assert thread.host == pytest.approx(0.5)
    assert thread.launch == 0
    assert (thread.functions[0].name, thread.functions[0].activity) == ("train_step", "host")


def test_a_step_that_the_gpu_works_through_launches_in_time() -> None:
    thread = divided(looks_of(("data", "S", 40), ("step", "R", 360), cpu=0.9, stack=FORWARD), 0.88)
    assert thread.launch == 0
    assert thread.host < 0.03


def test_a_rank_whose_backward_pass_another_thread_runs_does_not_wait_for_others() -> None:
    """As with CUDA: what computes beside the blocked thread launches kernels, and the GPU idles."""
    looks = looks_of(("step", "R", 240), ("step", "S", 160), cpu=0.6, stack=BACKWARD)
    assert divided(looks, 0.3, ranks=2).communication == pytest.approx(0.4)
    launched = divided(looks, 0.3, ranks=2, beside=0.41)
    assert launched.communication == 0
    assert launched.host == pytest.approx(0.7)
