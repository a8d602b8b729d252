"""What classes got, summed over routers so that it only grows: requests, tokens, outcomes and latencies; pure.

A router that is seen for the first time begins at what it has counted, as its past is nobody's minute. What it counted
before a restart is kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from controller.model.service import Bucket, ClassService, Latencies
from controller.signals.router_fields import count_of, object_of

MAX_OUTCOMES = 64
MAX_BOUNDS = 128
_COUNTERS = ("requests", "finished", "refused", "input_tokens", "output_tokens")
_HISTOGRAMS = ("ttft_s", "itl_s")

Key = tuple[str, str, str | tuple[float, float]]
"""(class, counter, ""), (class, "outcome", name), (class, histogram, "sum") or (class, histogram, a bucket's edges)."""


class ServiceTotals:
    """Sums what routers report."""

    def __init__(self) -> None:
        self._asked = 0
        self._answered = 0
        self._totals: dict[Key, float] = {}
        self._last: dict[str, Mapping[Key, float]] = {}

    @property
    def is_whole(self) -> bool:
        """Whether every router answered at the last look."""
        return 0 < self._asked == self._answered

    @property
    def totals(self) -> dict[str, ClassService]:
        """By class, since this process began to count."""
        return _classes(self._totals)

    def begin(self, asked: int) -> None:
        """A look begins, at so many routers."""
        self._asked, self._answered = asked, 0

    def keep_only(self, routers: Collection[str]) -> None:
        """Forget what routers that have ended had told last; the sums stay."""
        self._last = {name: told for name, told in self._last.items() if name in routers}

    def take(self, router: str, now: Mapping[Key, float], *, restarted: bool) -> None:
        """Take in one router's answer."""
        known = self._last.get(router)
        before = now if known is None else {} if restarted else known
        for key, count in now.items():
            self._totals[key] = self._totals.get(key, 0.0) + max(0.0, count - before.get(key, 0.0))
        self._last[router] = now
        self.answered()

    def answered(self) -> None:
        """A router has answered at this look; what it said is taken in, or was before."""
        self._answered += 1


def read_service(classes: Sequence[Any], counters: Mapping[tuple[str, str], float]) -> dict[Key, float]:
    """What a router's /state tells of its classes; one that tells no latencies gives counters alone.

    Args:
        classes: of the document, of which names and counters were checked.
        counters: by (class, counter).

    Raises:
        ValueError: the place and the value of what is malformed.
    """
    found: dict[Key, float] = {}
    for index, entry in enumerate(classes):
        class_id, where = entry["class_id"], f"classes[{index}]"
        for name in _COUNTERS:
            found[class_id, name, ""] = counters[class_id, name]
        outcomes = object_of(entry.get("outcomes", {}), f"{where}.outcomes", MAX_OUTCOMES)
        for name, count in outcomes.items():
            found[class_id, "outcome", name] = count_of(count, f"{where}.outcomes.{name}")
        for name in _HISTOGRAMS:
            if name in entry:
                found |= {(class_id, name, part): count for part, count in _read(entry[name], f"{where}.{name}")}
    return found


def _read(told: Any, where: str) -> list[tuple[str | tuple[float, float], float]]:
    """Sum and buckets of a histogram, those without any too: what is known of them is that there was none."""
    fields = told if isinstance(told, dict) else {}
    bounds, counts = fields.get("bounds"), fields.get("counts")
    if not isinstance(bounds, list) or not isinstance(counts, list) or not 0 < len(bounds) <= MAX_BOUNDS:
        raise ValueError(f"{where} is no histogram of at most {MAX_BOUNDS} bounds")
    edges = [0.0, *(count_of(bound, f"{where}.bounds") for bound in bounds), math.inf]
    if len(counts) != len(edges) - 1 or any(upper <= lower for lower, upper in itertools.pairwise(edges)):
        raise ValueError(f"{where} has {len(counts)} counts for {len(bounds)} bounds, or bounds that do not ascend")
    numbers = [count_of(count, f"{where}.counts") for count in counts]
    buckets = zip(itertools.pairwise(edges), numbers, strict=True)
    return [("sum", count_of(fields.get("total"), f"{where}.total")), *buckets]


def _classes(totals: Mapping[Key, float]) -> dict[str, ClassService]:
    by_class: dict[str, dict[tuple[str, str | tuple[float, float]], float]] = {}
    for (class_id, name, part), count in totals.items():
        by_class.setdefault(class_id, {})[name, part] = count
    return {class_id: _class(by_class[class_id]) for class_id in sorted(by_class)}


def _class(totals: Mapping[tuple[str, str | tuple[float, float]], float]) -> ClassService:
    counters = {name: totals.get((name, ""), 0.0) for name in _COUNTERS}
    outcomes = {str(part): count for (name, part), count in totals.items() if name == "outcome"}
    ttft, itl = (_latencies(name, totals) for name in _HISTOGRAMS)
    return ClassService(**counters, outcomes=outcomes, ttft=ttft, itl=itl)


def _latencies(wanted: str, totals: Mapping[tuple[str, str | tuple[float, float]], float]) -> Latencies:
    buckets: list[Bucket] = [
        (*part, count) for (name, part), count in totals.items() if name == wanted and isinstance(part, tuple)
    ]
    return Latencies(totals.get((wanted, "sum"), 0.0), tuple(sorted(bucket for bucket in buckets if bucket[2] > 0)))
