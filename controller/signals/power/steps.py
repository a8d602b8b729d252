"""Which of several ways to know a value is used, without flapping between them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """The way in use.

    Attributes:
        place: its index, 0 for the best; None before the first choice and while there is none.
        better_since_s: since when a better way has been at hand without a break; None while there is none.
    """

    place: int | None = None
    better_since_s: float | None = None


def stepped(step: Step, usable: Sequence[bool], *, now_s: float, hold_s: float) -> Step:
    """The step after one more look: down at once, up only to what has been at hand for `hold_s`.

    Args:
        step: the one before.
        usable: whether each way can be used now, the best first.
        now_s: the time.
        hold_s: how long a better way must have been at hand before it is taken again.
    """
    best = next((place for place, is_usable in enumerate(usable) if is_usable), None)
    if step.place is None or best is None or step.place >= len(usable) or not usable[step.place]:
        return Step(best)
    if best >= step.place:
        return Step(step.place)
    since_s = now_s if step.better_since_s is None else step.better_since_s
    return Step(best) if now_s - since_s >= hold_s else Step(step.place, since_s)
