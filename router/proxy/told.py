"""What the router tells the client about the way its answer came."""

from __future__ import annotations

from router.exchange import Choice

MAX_KEPT = 2048
"""Beginnings kept: one an instance for the present table, twice where some requests are degraded."""


class Told:
    """Makes the field lines added to every answer of an engine; what repeats from answer to answer is kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bool, int], bytes] = {}

    def fields(self, choice: Choice, *, overhead_s: float) -> bytes:
        r"""Field lines, each ended by CRLF.

        Args:
            choice: the instance that served.
            overhead_s: from the request's last byte to the moment it was sent to that instance, waiting and failed
                attempts included.
        """
        key = (choice.spec.instance_id, choice.degraded, choice.sequence)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            kept = self._kept[key] = _constant_fields(choice)
        return b"%bx-wattroute-overhead-ms: %.3f\r\n" % (kept, overhead_s * 1e3)


def _constant_fields(choice: Choice) -> bytes:
    sequence = "static" if choice.sequence < 0 else str(choice.sequence)
    return (
        f"x-wattroute-pool: {choice.spec.pool_id}\r\n"
        f"x-wattroute-precision: {choice.spec.precision}\r\n"
        f"x-wattroute-degraded: {'true' if choice.degraded else 'false'}\r\n"
        f"x-wattroute-allocation: {sequence}\r\n"
    ).encode("ascii")
