"""Batches that a training thread makes itself: too small for workers, or held up by something else."""

from tests.ladder.test_replay import replayed


def reason_of_workers(name: str) -> str:
    return next(rung.because for rung in replayed(name).ladder if rung.rung == "loader_workers")


def test_a_store_at_its_limit_is_no_small_batch() -> None:
    """More workers bring nothing there either, for another reason."""
    assert "takes longer than to make it" not in reason_of_workers("a_throttled_disk_0")


def test_a_small_batch_is_told() -> None:
    assert "takes longer than to make it" in reason_of_workers("batches_too_small_for_workers")
