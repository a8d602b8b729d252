"""A derate: a time over which a site offers less than it could, by its operator's choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.call import OPERATOR


@dataclass(frozen=True, slots=True)
class Derate:
    """At most so much is offered over [start_s, end_s), wall clock.

    Attributes:
        derate_id: unique among those that are not over.
        shed_w: reduction that is offered at most, W; 0 where none is.
        reason: the operator's.
        made_s: when it was entered.
        source: who entered it.
    """

    derate_id: str
    shed_w: float
    start_s: float
    end_s: float
    reason: str
    made_s: float
    source: str = OPERATOR

    def __post_init__(self) -> None:
        """Refuse a time without length."""
        if not self.start_s < self.end_s:
            raise ValueError(f"derate {self.derate_id}: from {self.start_s!r} to {self.end_s!r} has no length")

    def holds(self, time_s: float) -> bool:
        """Whether a time lies within it."""
        return self.start_s <= time_s < self.end_s


Derates = tuple[Derate, ...]


def tightest(derates: Iterable[Derate], time_s: float) -> Derate | None:
    """The one that lets the least be offered at a time; None where none holds then."""
    return min((each for each in derates if each.holds(time_s)), key=lambda each: each.shed_w, default=None)


def next_below(derates: Iterable[Derate], shed_w: float, time_s: float) -> Derate | None:
    """The first one to begin after a time that lets less than so much be offered."""
    later = (each for each in derates if each.start_s > time_s and each.shed_w < shed_w)
    return min(later, key=lambda each: each.start_s, default=None)
