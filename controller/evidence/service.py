"""What classes got, minute by minute, as it is kept in evidence; pure but for its own memory.

A minute ends where an event begins or ends too, so that each lies within one phase. Latencies are kept as counts by
buckets, from which quantiles over any stretch of whole minutes follow. Looks at which not every router answered are
counted beside: what then is not told is missing, not zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.model.service import ClassService, Latencies, ServiceSource, grown

MINUTE_S = 60.0
STANDING_S = 900.0
"""Length of a stretch where nothing but standing limits is recorded."""
MAX_BYTES = 64 << 10
_COUNTERS = ("requests", "finished", "refused", "input_tokens", "output_tokens")
_HISTOGRAMS = ("ttft_s", "itl_s")
NO_SERVICE = ClassService()


@dataclass(frozen=True, slots=True)
class ServiceMinute:
    """What classes got in a minute, or in as much of one as lies within a phase.

    Attributes:
        looks: at the routers; at `whole_looks` of them every router answered.
        classes: those of which something is known; of one that is not told nothing is.
        left_out: what was too large to be kept.
    """

    from_s: float
    until_s: float
    looks: int
    whole_looks: int
    classes: Mapping[str, ClassService]
    left_out: tuple[str, ...] = ()

    @property
    def heard_frac(self) -> float:
        """Share of the looks at which every router answered."""
        return self.whole_looks / self.looks if self.looks else 0.0


class ServiceClock:
    """Cuts totals into minutes."""

    def __init__(self) -> None:
        self._from: tuple[float, Mapping[str, ClassService]] | None = None
        self._looks = self._whole = 0

    def take(
        self, now_s: float, source: ServiceSource, *, edges_s: Iterable[float] = (), step_s: float = MINUTE_S
    ) -> ServiceMinute | None:
        """Take a look; returns the minute that ends with it, if one does.

        Args:
            now_s: of the look.
            source: of the totals.
            edges_s: when events begin and end; one that comes to be known late cuts the minute it lies in as it does.
            step_s: length of a minute, at whose multiples one ends.
        """
        if self._from is None or not self._from[0] < now_s:  # the first look, or a clock that was set back
            self._begin(now_s, source.totals)
            return None
        self._looks, self._whole = self._looks + 1, self._whole + source.is_whole
        from_s, before = self._from
        if now_s // step_s == from_s // step_s and not any(from_s < edge_s <= now_s for edge_s in edges_s):
            return None
        totals = source.totals
        classes = {class_id: grown(before.get(class_id, NO_SERVICE), now) for class_id, now in totals.items()}
        made = ServiceMinute(from_s, now_s, self._looks, self._whole, classes)
        self._begin(now_s, totals)
        return made

    def _begin(self, now_s: float, totals: Mapping[str, ClassService]) -> None:
        self._from, self._looks, self._whole = (now_s, totals), 0, 0


def pack(minute: ServiceMinute) -> dict[str, Any]:
    """A minute as plain JSON of at most `MAX_BYTES`; where it is more, the largest parts are left out."""
    classes = {class_id: _packed(service) for class_id, service in minute.classes.items()}
    packed: dict[str, Any] = {
        "from_s": round(minute.from_s, 2),
        "until_s": round(minute.until_s, 2),
        "looks": minute.looks,
        "whole_looks": minute.whole_looks,
        "classes": classes,
    }
    left_out: list[str] = []
    for name in (*_HISTOGRAMS, "outcomes", "classes"):
        if len(json.dumps(packed)) <= MAX_BYTES:
            break
        left_out.append(name)
        packed["classes"] = {
            class_id: {part: told[part] for part in told if part != name}
            for class_id, told in packed["classes"].items()
        }
        if name == "classes":
            packed["classes"] = {}
    return {**packed, "left_out": left_out} if left_out else packed


def unpack(packed: Mapping[str, Any]) -> ServiceMinute:
    """The minute again.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    classes = {class_id: _unpacked(told) for class_id, told in packed["classes"].items()}
    times_s = float(packed["from_s"]), float(packed["until_s"])
    return ServiceMinute(
        *times_s, int(packed["looks"]), int(packed["whole_looks"]), classes, tuple(packed.get("left_out", ()))
    )


def _packed(service: ClassService) -> dict[str, Any]:
    """Only what there was any of; a class of which nothing is told got nothing."""
    told: dict[str, Any] = {name: count for name in _COUNTERS if (count := getattr(service, name))}
    if service.outcomes:
        told["outcomes"] = dict(service.outcomes)
    for name, latencies in (("ttft_s", service.ttft), ("itl_s", service.itl)):
        if latencies.buckets:
            buckets = [
                [lower_s, None if math.isinf(upper_s) else upper_s, count]
                for lower_s, upper_s, count in latencies.buckets
            ]
            told[name] = {"sum": float(f"{latencies.sum_s:.6g}"), "buckets": buckets}
    return told


def _unpacked(told: Mapping[str, Any]) -> ClassService:
    return ClassService(
        **{name: float(told.get(name, 0.0)) for name in _COUNTERS},
        outcomes={str(name): float(count) for name, count in told.get("outcomes", {}).items()},
        ttft=_latencies(told.get("ttft_s")),
        itl=_latencies(told.get("itl_s")),
    )


def _latencies(told: Mapping[str, Any] | None) -> Latencies:
    if told is None:
        return Latencies()
    buckets = (
        (float(lower_s), math.inf if upper_s is None else float(upper_s), float(count))
        for lower_s, upper_s, count in told["buckets"]
    )
    return Latencies(float(told["sum"]), tuple(buckets))
