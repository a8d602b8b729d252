"""First come, first served, of tokens that flow: what waits at a router, by the time at which it came. Pure."""

from __future__ import annotations

from collections import deque

import numpy as np

_NOTHING_REQUESTS = 1e-12


class FluidQueue:
    """One class's requests that wait, as amounts (3,) of requests, prompt tokens and output tokens.

    Attributes:
        late_tokens: output tokens that left after more than `patience_s`.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._cohorts: deque[tuple[float, np.ndarray]] = deque()
        self._waiting = np.zeros(3)
        self.late_tokens = 0.0

    @property
    def waiting(self) -> np.ndarray:
        """What waits, (3,)."""
        return self._waiting

    def overdue_tokens(self, now_s: float) -> float:
        """Output tokens that wait and have done so for more than the patience."""
        return sum(float(amount[2]) for came_s, amount in self._cohorts if now_s - came_s > self._patience_s)

    def put(self, at_s: float, amount: np.ndarray) -> None:
        """Add what came around a time, not before what came last."""
        if amount[0] > _NOTHING_REQUESTS:
            self._cohorts.append((at_s, amount))
            self._waiting = self._waiting + amount

    def leave(self, now_s: float) -> np.ndarray:
        """Send away what has waited for more than the patience, which counts as late; what it was, (3,)."""
        gone = np.zeros(3)
        while self._cohorts and now_s - self._cohorts[0][0] > self._patience_s:
            gone += self._cohorts.popleft()[1]
        if gone[0] > 0:
            self.late_tokens += float(gone[2])
            self._waiting = np.sum([amount for _, amount in self._cohorts], axis=0) if self._cohorts else np.zeros(3)
        return gone

    def take(self, requests: float, now_s: float) -> np.ndarray:
        """Take so many requests, the oldest first, and fewer where fewer wait; what was taken, (3,)."""
        taken = np.zeros(3)
        while self._cohorts and requests > _NOTHING_REQUESTS:
            came_s, amount = self._cohorts[0]
            if amount[0] <= requests * (1 + 1e-12):
                part = amount
                self._cohorts.popleft()
            else:
                part = amount * (requests / amount[0])
                self._cohorts[0] = (came_s, amount - part)
            requests -= part[0]
            taken += part
            if now_s - came_s > self._patience_s:
                self.late_tokens += float(part[2])
        self._waiting = np.sum([amount for _, amount in self._cohorts], axis=0) if self._cohorts else np.zeros(3)
        return taken
