"""How far apart looks lie."""

from mlscale.observe import machine
from mlscale.observe.pace import BUDGET_CORES, FULL_BUDGET_CORES, SLOWEST, is_full, next_pace


def after(seconds: int, used_cores_at_pace_1: float, *, full: bool) -> float:
    """The pace after so many seconds, where what is used falls as looks come further apart."""
    pace = 1.0
    for _ in range(seconds):
        pace = next_pace(pace, used_cores_at_pace_1 / pace, full=full)
    return pace


def test_looks_stay_as_asked_for_where_they_cost_little() -> None:
    assert after(30, 0.5 * BUDGET_CORES, full=False) == 1.0


def test_looks_come_further_apart_until_the_budget_holds() -> None:
    pace = after(30, 1.5 * BUDGET_CORES, full=False)
    assert 1.5 <= pace <= 1.5 * 1.15


def test_looks_never_stop() -> None:
    assert after(60, 100 * BUDGET_CORES, full=False) == SLOWEST


def test_they_cost_less_while_no_core_is_free_and_come_back_after() -> None:
    cost = 1.2 * FULL_BUDGET_CORES
    assert cost < BUDGET_CORES
    pace = after(30, cost, full=True)
    assert pace >= 1.2
    for _ in range(30):
        pace = next_pace(pace, cost / pace, full=False)
    assert pace == 1.0


def test_full_is_a_machine_with_hardly_a_core_free() -> None:
    cores = machine.logical_cpus()
    before, seconds = {"cpu_s": 100.0}, 2.0
    assert is_full(before, {"cpu_s": 100.0 + 0.95 * cores * seconds}, seconds)
    assert not is_full(before, {"cpu_s": 100.0 + 0.8 * cores * seconds}, seconds)
    assert not is_full({}, {}, seconds)


def test_full_is_a_quota_that_holds_the_job_back() -> None:
    assert is_full({"cpu_s": 1.0, "throttled_s": 3.0}, {"cpu_s": 1.5, "throttled_s": 3.2}, 2.0)
    assert not is_full({"cpu_s": 1.0, "throttled_s": 3.0}, {"cpu_s": 1.5, "throttled_s": 3.0}, 2.0)
