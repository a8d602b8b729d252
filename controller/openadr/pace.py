"""How long a VEN waits between polls: its interval with jitter, and longer after failures."""

from __future__ import annotations

from typing import Protocol

from router.backoff import backoff_s

JITTER_FRAC = 0.1
MAX_BACK_OFF_S = 300.0


class Chance(Protocol):
    """A source of chance, such as `random.Random`."""

    def uniform(self, a: float, b: float) -> float:
        """A number between the two."""


def wait_s(poll_s: float, failures: int, draw: float, retry_after_s: float | None = None) -> float:
    """Time until the next poll.

    Args:
        poll_s: between polls that succeed.
        failures: in a row until now.
        draw: from 0 to 1, by chance, so that VENs that failed together do not come back together.
        retry_after_s: what the server asked for.

    Returns:
        `poll_s` with 10 % jitter either way; after n failures up to `poll_s` 2^(n-1), at most `MAX_BACK_OFF_S` or
        `poll_s` where that is more, and never before the server wants it.
    """
    if not failures:
        return poll_s * (1.0 - JITTER_FRAC + 2.0 * JITTER_FRAC * draw)
    own_s = backoff_s(failures, draw, first_s=poll_s, longest_s=max(MAX_BACK_OFF_S, poll_s))
    return max(own_s, retry_after_s or 0.0)
