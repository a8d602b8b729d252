"""How long to wait before a lost connection is tried again; pure."""

from __future__ import annotations

from random import Random

FIRST_S = 0.5
LONGEST_S = 15.0


def backoff_s(failures: int, chance: Random) -> float:
    """Wait after so many failures in a row: doubled each time up to `LONGEST_S`, and between half and all of it.

    The jitter keeps controllers that lost the same node from coming back to it together.
    """
    whole_s = min(LONGEST_S, FIRST_S * 2.0 ** min(max(0, failures - 1), 16))
    return whole_s * chance.uniform(0.5, 1.0)
