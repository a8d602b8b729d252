"""What a token costs on an instance of late, told to routers; pure.

Each interval's own rate is told, not a mean over several: routers apply it to the time in which it was measured, and a
rate that lags behind an uneven load is too high on average, as tokens come when it is about to fall.
"""

from __future__ import annotations

from controller.energy.attribution import Attributed, Rate

REST_S = 60.0
"""Without a token for so long, what tokens cost before says nothing about the next request."""


class TokenRate:
    """Follows one instance."""

    def __init__(self) -> None:
        self._rested_s = 0.0
        self._rate: Rate | None = None

    def take(self, result: Attributed) -> Rate | None:
        """Take in an interval; what a token costs now, that of the last interval with tokens; None after a rest."""
        if result.rate is not None:
            self._rate, self._rested_s = result.rate, 0.0
            return self._rate
        self._rested_s += result.interval.duration_s
        if self._rested_s > REST_S:
            self._rate = None
        return self._rate
