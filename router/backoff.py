"""How long to wait before what failed is tried again; pure."""

from __future__ import annotations

_MOST_DOUBLINGS = 16


def backoff_s(failures: int, draw: float, *, first_s: float, longest_s: float) -> float:
    """Wait after so many failures in a row: doubled each time, and between half and all of that.

    Args:
        failures: in a row until now.
        draw: from 0 to 1, by chance, so that those who lost the same peer do not come back to it together.
        first_s: all of the wait after the first failure.
        longest_s: all of the longest wait.
    """
    whole_s = min(longest_s, first_s * 2.0 ** min(max(0, failures - 1), _MOST_DOUBLINGS))
    return whole_s * (0.5 + 0.5 * draw)
