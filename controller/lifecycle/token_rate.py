"""What a token costs on an instance of late, smooth enough to foretell the next second; pure.

The energy of one second over its tokens is a fair price for that second's tokens only. As the price of the next
second's it is too high on average, as tokens come unevenly: E[D(t+1)/D(t)] > 1. So energy and weighed tokens are each
averaged, with a time constant of `SMOOTH_S`, before they are divided.
"""

from __future__ import annotations

import math

from controller.energy.attribution import Attributed, Rate

SMOOTH_S = 15.0
REST_S = 60.0
"""Without a token for so long, what tokens cost before says nothing about the next request."""


class TokenRate:
    """Follows one instance."""

    def __init__(self) -> None:
        self._energy_j = 0.0
        self._weighed = 0.0
        self._rested_s = 0.0
        self._rate: Rate | None = None

    def take(self, result: Attributed) -> Rate | None:
        """Take in an interval; what a token costs now, None where too little is known."""
        interval = result.interval
        made, weights = interval.made, interval.weights
        kept = math.exp(-interval.duration_s / SMOOTH_S)
        self._energy_j = kept * self._energy_j + result.borne_j
        self._weighed = kept * self._weighed + weights.prefill * made.prefill + weights.decode * made.decode
        self._rested_s = 0.0 if made else self._rested_s + interval.duration_s
        if self._rested_s > REST_S or self._weighed <= 0:
            self._rate = None
        elif made:
            scale = self._energy_j / self._weighed
            self._rate = Rate(scale * weights.prefill, scale * weights.decode)
        return self._rate
