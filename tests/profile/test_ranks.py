"""Several ranks as one training thread."""

from __future__ import annotations

from dataclasses import fields

from mlscale.profile.job import TrainingThread
from mlscale.profile.ranks import mean_of


def test_the_mean_has_every_share() -> None:
    """A share that were left out would count as nought."""
    shares = [field.name for field in fields(TrainingThread) if field.type == "float"]
    both = [TrainingThread(**dict.fromkeys(shares, value)) for value in (0.2, 0.4)]  # type: ignore[arg-type]
    found = mean_of(both)
    assert found is not None
    for name in shares:
        assert getattr(found, name) == (0.2 if name == "save_seconds" else 0.30000000000000004), name
