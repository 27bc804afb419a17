"""A predicted figure with its error: log-normal, so that rates and times stay positive and errors multiply. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_90 = 1.645  # half-width of a normal distribution's 90 % interval, in standard deviations


@dataclass(frozen=True)
class Estimate:
    """`value` with the standard deviation of its logarithm, `log_sd` (0.1: about 10 %)."""

    value: float
    log_sd: float = 0.0

    @property
    def low(self) -> float:
        """Lower end of the 90 % interval."""
        return self.value * math.exp(-Z_90 * self.log_sd)

    @property
    def high(self) -> float:
        """Upper end of the 90 % interval."""
        return self.value * math.exp(Z_90 * self.log_sd)

    def times(self, factor: float, log_sd: float = 0.0) -> Estimate:
        """The figure times an independent factor that has an error of its own."""
        return Estimate(self.value * factor, math.hypot(self.log_sd, log_sd))
