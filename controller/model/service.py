"""What classes of requests got, as the routers count it: requests, tokens, outcomes and latencies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Bucket = tuple[float, float, float]
"""(lower edge in s, upper edge in s, count of what lies above the first and not above the second)."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latencies that were counted by buckets.

    Attributes:
        sum_s: of all of them, as they were before they were counted.
        buckets: those with any, in order of their edges.
    """

    sum_s: float = 0.0
    buckets: tuple[Bucket, ...] = ()

    @property
    def count(self) -> float:
        """How many there are."""
        return sum(count for _, _, count in self.buckets)

    @property
    def mean_s(self) -> float | None:
        """Their mean; None without any."""
        count = self.count
        return self.sum_s / count if count > 0 else None

    def quantile_s(self, frac: float) -> float | None:
        """Quantile by linear interpolation within its bucket, as Prometheus' histogram_quantile; None without any.

        In a bucket that is open above its lower edge is told, below which the quantile does not lie.
        """
        rank, below = frac * self.count, 0.0
        for lower_s, upper_s, count in self.buckets:
            if below + count >= rank:
                return lower_s if math.isinf(upper_s) else lower_s + (upper_s - lower_s) * (rank - below) / count
            below += count
        return None


@dataclass(frozen=True, slots=True)
class ClassService:
    """What one class got in some stretch of time.

    Attributes:
        requests: that arrived, refused ones included.
        finished: answered to the end.
        refused: not served.
        outcomes: attempts at engines that ended, by how.
        ttft, itl: time to the first token of streams from the request's arrival, and mean time between their tokens.
    """

    requests: float = 0.0
    finished: float = 0.0
    refused: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    outcomes: Mapping[str, float] = field(default_factory=dict)
    ttft: Latencies = Latencies()
    itl: Latencies = Latencies()

    @property
    def failed(self) -> float:
        """Attempts that ended otherwise than well, by no doing of the client."""
        return sum(count for name, count in self.outcomes.items() if name not in _NO_FAILURE)


_NO_FAILURE = frozenset(("ok", "client_error", "client_gone"))


def summed(parts: Iterable[ClassService]) -> ClassService:
    """What one class got in several stretches together."""
    found = tuple(parts)
    outcomes: dict[str, float] = {}
    for part in found:
        for name, count in part.outcomes.items():
            outcomes[name] = outcomes.get(name, 0.0) + count
    return ClassService(
        requests=sum(part.requests for part in found),
        finished=sum(part.finished for part in found),
        refused=sum(part.refused for part in found),
        input_tokens=sum(part.input_tokens for part in found),
        output_tokens=sum(part.output_tokens for part in found),
        outcomes=outcomes,
        ttft=_together(part.ttft for part in found),
        itl=_together(part.itl for part in found),
    )


def _together(parts: Iterable[Latencies]) -> Latencies:
    sum_s, counts = 0.0, dict[tuple[float, float], float]()
    for part in parts:
        sum_s += part.sum_s
        for lower_s, upper_s, count in part.buckets:
            counts[lower_s, upper_s] = counts.get((lower_s, upper_s), 0.0) + count
    return Latencies(sum_s, tuple((*edges, counts[edges]) for edges in sorted(counts)))


class ServiceSource(Protocol):
    """What counts it."""

    @property
    def is_whole(self) -> bool:
        """Whether every router answered at the last look."""

    @property
    def totals(self) -> Mapping[str, ClassService]:
        """By class, since some time before; they only grow."""


def grown(before: ClassService, now: ClassService) -> ClassService:
    """What came to it between two looks at totals."""
    return ClassService(
        requests=now.requests - before.requests,
        finished=now.finished - before.finished,
        refused=now.refused - before.refused,
        input_tokens=now.input_tokens - before.input_tokens,
        output_tokens=now.output_tokens - before.output_tokens,
        outcomes={
            name: came for name, count in now.outcomes.items() if (came := count - before.outcomes.get(name, 0.0)) > 0
        },
        ttft=_more(before.ttft, now.ttft),
        itl=_more(before.itl, now.itl),
    )


def _more(before: Latencies, now: Latencies) -> Latencies:
    had = {(lower_s, upper_s): count for lower_s, upper_s, count in before.buckets}
    more = ((lower_s, upper_s, count - had.get((lower_s, upper_s), 0.0)) for lower_s, upper_s, count in now.buckets)
    return Latencies(now.sum_s - before.sum_s, tuple(bucket for bucket in more if bucket[2] > 0))
