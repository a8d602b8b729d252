"""The load generator wrk: its command and what it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Shape:
    """A closed loop of requests.

    Attributes:
        kind: `plain`, `stream`, `varied` or `tenants`, as load.lua explains.
        connections: each has one request under way at a time.
        prompt_bytes: length of the prompt within the body.
        tenants: whose keys the requests carry, of kind `tenants`.
    """

    kind: str
    connections: int
    prompt_bytes: int = 900
    tenants: int = 0


@dataclass(frozen=True)
class WrkReport:
    """What wrk says of a run."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    not_2xx: int
    socket_errors: int

    @property
    def failed(self) -> int:
        """Requests that did not end as they should; a request that wrk abandons at its own end is none of them."""
        return self.not_2xx + self.socket_errors


def command(shape: Shape, url: str, *, seconds: float) -> list[str]:
    """The words that start wrk."""
    arguments = (shape.kind, str(shape.prompt_bytes), str(shape.tenants))
    return [
        *("wrk", "-t1", f"-c{shape.connections}", f"-d{seconds:.0f}s", "--timeout", "20s", "--latency"),
        *("-s", str(SCRIPT), f"{url}/v1/chat/completions", "--", *arguments),
    ]


def parse(text: str) -> WrkReport:
    """Read wrk's report.

    Raises:
        ValueError: it is not one.
    """
    count = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if count is None or rate is None:
        raise ValueError(f"this is not a report of wrk: {text[-300:]!r}")
    not_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: (.*)", text)
    return WrkReport(
        requests=int(count[1]),
        requests_per_s=float(rate[1]),
        p50_ms=_percentile_ms(text, 50),
        p99_ms=_percentile_ms(text, 99),
        not_2xx=int(not_2xx[1]) if not_2xx else 0,
        socket_errors=sum(map(int, re.findall(r"\d+", errors[1]))) if errors else 0,
    )


def _percentile_ms(text: str, percent: int) -> float:
    match = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"wrk reports no {percent}th percentile: {text[-300:]!r}")
    return float(match[1]) * MS[match[2]]
