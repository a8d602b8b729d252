"""What the router tells the client about the way its answer came."""

from __future__ import annotations

from router.exchange import Choice


def told_fields(choice: Choice, *, overhead_s: float) -> bytes:
    r"""Field lines added to every answer of an engine, each ended by CRLF.

    Args:
        choice: the instance that served.
        overhead_s: from the request's last byte to the moment it was sent to that instance, waiting and failed
            attempts included.
    """
    sequence = "static" if choice.sequence < 0 else str(choice.sequence)
    return (
        f"x-wattroute-pool: {choice.pool_id}\r\n"
        f"x-wattroute-precision: {choice.precision}\r\n"
        f"x-wattroute-degraded: {'true' if choice.degraded else 'false'}\r\n"
        f"x-wattroute-allocation: {sequence}\r\n"
        f"x-wattroute-overhead-ms: {overhead_s * 1e3:.3f}\r\n"
    ).encode("ascii")
