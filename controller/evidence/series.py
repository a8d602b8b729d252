"""Measured power as it is kept in evidence; pure.

A list for each of time, power, quality, limit and age, of the last three one value where it does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the site's power.

    Attributes:
        time_s: of the look.
        power_w: None where it was not known.
        quality: how the value came about; None without one.
        limit_w: in force at the meter, None without one.
        age_s: of the reading at the look; None without one.
    """

    time_s: float
    power_w: float | None
    quality: str | None
    limit_w: float | None
    age_s: float | None = None


def sample_of(time_s: float, payload: Mapping[str, Any]) -> Sample:
    """A sample from its record in the ledger."""
    observed_s = payload.get("observed_at_s")
    age_s = None if observed_s is None else round(time_s - observed_s, 2)
    return Sample(time_s, payload.get("power_w"), payload.get("quality"), payload.get("limit_w"), age_s)


def pack(samples: Sequence[Sample]) -> dict[str, Any]:
    """Samples as plain JSON; times are told from the first one, to a hundredth of a second, power to 0.1 W."""
    if not samples:
        return {}
    first_s = samples[0].time_s
    return {
        "from_s": first_s,
        "at_s": [round(sample.time_s - first_s, 2) for sample in samples],
        "w": [None if sample.power_w is None else round(sample.power_w, 1) for sample in samples],
        "quality": _short([sample.quality for sample in samples]),
        "limit_w": _short([sample.limit_w for sample in samples]),
        "age_s": _short([sample.age_s for sample in samples]),
    }


def unpack(packed: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The samples again.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    if not packed:
        return ()
    count = len(packed["at_s"])
    columns = (
        [packed["from_s"] + at_s for at_s in packed["at_s"]],
        packed["w"],
        *(_long(packed[name], count) for name in ("quality", "limit_w", "age_s")),
    )
    return tuple(Sample(*cells) for cells in zip(*columns, strict=True))


def _short(values: list[Value]) -> list[Value] | Value:
    return values[0] if len(set(values)) == 1 else values


def _long(values: Any, count: int) -> Iterable[Any]:
    return values if isinstance(values, list) else [values] * count
