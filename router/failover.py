"""Whether a failed attempt may be tried elsewhere. Pure.

Only attempts of which the client has seen nothing come here. A retry is paid from a budget that follows the recent
requests, so that retrying never doubles an overload. An instance that is gone (connection refused, or closed without
an answer) is no overload: such retries cost no budget, they end with `max_attempts` and with the instance's ejection.
Where there was no connection nothing was sent, so that the next instance is as good as the first.
"""

from __future__ import annotations

import math

from router.exchange import Outcome
from router.settings import RetrySettings

WINDOW_S = 10.0
"""Time constant of what counts as recent."""

UNREACHED = 10
"""Instances to which there was no connection, after which a request is tried no further."""

_GONE = frozenset({Outcome.CONNECT_FAILED, Outcome.RESET})
_RETRYABLE = _GONE | {Outcome.ENGINE_BUSY, Outcome.ENGINE_ERROR, Outcome.TIMED_OUT}


class RetryBudget:
    """Requests and retries of the recent past, fading with `WINDOW_S`.

    Attributes:
        new_requests: requests since the last `fold`; whoever lets one in adds it here. Its retries do not count.
    """

    __slots__ = ("_folded_at_s", "_requests", "_retries", "_settings", "new_requests")

    def __init__(self, settings: RetrySettings) -> None:
        self._settings = settings
        self.new_requests = 0
        self._folded_at_s = -math.inf
        self._requests = 0.0
        self._retries = 0.0

    def adopt(self, old: RetryBudget) -> None:
        """Take over what was counted under other settings."""
        self.new_requests = old.new_requests
        self._folded_at_s = old._folded_at_s
        self._requests = old._requests
        self._retries = old._retries

    def may_retry(self, outcome: Outcome, attempts: int, now_s: float, unreached: int = 0) -> bool:
        """Whether to try again after an attempt that ended with `outcome`; see `spend`.

        retries + 1 <= budget_frac * requests + budget_min_per_s * WINDOW_S

        Args:
            outcome: of the last attempt.
            attempts: in which the request was sent.
            now_s: of the steady clock.
            unreached: attempts in which it was not, for want of a connection.
        """
        if outcome not in _RETRYABLE or attempts >= self._settings.max_attempts or unreached >= UNREACHED:
            return False
        if outcome in _GONE:
            return True
        self.fold(now_s)
        allowed = self._settings.budget_frac * self._requests + self._settings.budget_min_per_s * WINDOW_S
        return self._retries + 1 <= allowed

    def spend(self, outcome: Outcome) -> None:
        """An attempt that ended with `outcome` is tried again."""
        if outcome not in _GONE:
            self._retries += 1

    def fold(self, now_s: float) -> None:
        """Let what was counted fade with time. Call it several times a second: what came since the last call is new."""
        faded = math.exp(-max(0.0, now_s - self._folded_at_s) / WINDOW_S)
        self._requests = self._requests * faded + self.new_requests
        self._retries *= faded
        self.new_requests = 0
        self._folded_at_s = now_s
