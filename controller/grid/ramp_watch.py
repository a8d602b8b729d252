"""When the site's power goes down to a limit and comes back up from it: told once each, from limit and power; pure.

A ramp down begins with a lower limit and ends when the site draws no more than it, or when it is due. A ramp up begins
with a higher limit, or with none, and ends when the power has come near the limit or rises no more. Where the power is
not known, a ramp down ends when it is due without saying whether the limit was met.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum

NEAR_FRAC = 0.95
"""Of the limit: the power of a ramp up has come near it."""
RISE_FRAC = 0.01
"""Above the highest power so far: it still rises."""
SETTLE_S = 60.0
"""A ramp up ends once the power has not risen for this long."""


class Direction(StrEnum):
    """Which way the power is to go."""

    DOWN = "down"
    UP = "up"


class Kind(StrEnum):
    """What is told."""

    DOWN_STARTED = "ramp_down_started"
    DOWN_ENDED = "ramp_down_ended"
    UP_STARTED = "ramp_up_started"
    UP_ENDED = "ramp_up_ended"


_STARTED = {Direction.DOWN: Kind.DOWN_STARTED, Direction.UP: Kind.UP_STARTED}
_ENDED = {Direction.DOWN: Kind.DOWN_ENDED, Direction.UP: Kind.UP_ENDED}


@dataclass(frozen=True, slots=True)
class Look:
    """What holds and what is drawn at a look.

    Attributes:
        limit_w: most that the site may draw, None for no limit.
        due_s: by when the limit is met; None where at once.
        power_w: what it draws, None where that is not known.
    """

    now_s: float
    limit_w: float | None
    due_s: float | None
    power_w: float | None


@dataclass(frozen=True, slots=True)
class Watch:
    """What is kept from look to look.

    Attributes:
        limit_w: of the look before.
        direction: of the ramp that goes on, None where none does.
        due_s: when a ramp down ends at the latest.
        highest_w, risen_s: of a ramp up: the highest power so far, and when it came to that.
    """

    limit_w: float | None
    direction: Direction | None = None
    due_s: float = 0.0
    highest_w: float = 0.0
    risen_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RampEvent:
    """A ramp that started or ended.

    Attributes:
        limit_w: that it goes to, None for no limit.
        met: of a ramp down that ended: whether the limit was met; None where the power is not known, and for all else.
        is_superseded: whether it ended because another limit holds.
    """

    kind: Kind
    at_s: float
    limit_w: float | None
    power_w: float | None
    due_s: float | None = None
    met: bool | None = None
    is_superseded: bool = False


def watch(before: Watch | None, look: Look) -> tuple[Watch, tuple[RampEvent, ...]]:
    """One look: what is kept, and what is to be told, in order.

    Args:
        before: None at the first look of all, which tells nothing.
        look: taken now.
    """
    if before is None:
        return Watch(look.limit_w), ()
    told: list[RampEvent] = []
    state = before
    if look.limit_w != before.limit_w:
        if before.direction is not None:
            told.append(_ended(before, look, is_superseded=True))
        state = _begun(before, look)
        told.append(_started(state, look))
    if state.direction is Direction.DOWN:
        is_over = _is_down(state, look)
    elif state.direction is Direction.UP:
        state, is_over = _risen(state, look)
    else:
        is_over = False
    if is_over:
        told.append(_ended(state, look, is_superseded=False))
        state = Watch(look.limit_w)
    return state, tuple(told)


def _begun(before: Watch, look: Look) -> Watch:
    is_lower = _or_infinite(look.limit_w) < _or_infinite(before.limit_w)
    due_s = look.now_s if look.due_s is None else max(look.due_s, look.now_s)
    return Watch(
        look.limit_w,
        Direction.DOWN if is_lower else Direction.UP,
        due_s=due_s,
        highest_w=0.0 if look.power_w is None else look.power_w,
        risen_s=look.now_s,
    )


def _is_down(state: Watch, look: Look) -> bool:
    return look.now_s >= state.due_s or _is_met(state, look) is True


def _risen(state: Watch, look: Look) -> tuple[Watch, bool]:
    power_w = look.power_w
    if power_w is not None and power_w > state.highest_w * (1.0 + RISE_FRAC):
        state = dataclasses.replace(state, highest_w=power_w, risen_s=look.now_s)
    is_near = power_w is not None and state.limit_w is not None and power_w >= NEAR_FRAC * state.limit_w
    return state, is_near or look.now_s - state.risen_s >= SETTLE_S


def _is_met(state: Watch, look: Look) -> bool | None:
    if look.power_w is None:
        return None
    return look.power_w <= _or_infinite(state.limit_w)


def _started(state: Watch, look: Look) -> RampEvent:
    direction = state.direction or Direction.UP
    due_s = state.due_s if direction is Direction.DOWN else None
    return RampEvent(_STARTED[direction], look.now_s, state.limit_w, look.power_w, due_s)


def _ended(state: Watch, look: Look, *, is_superseded: bool) -> RampEvent:
    direction = state.direction or Direction.UP
    is_down = direction is Direction.DOWN
    return RampEvent(
        _ENDED[direction],
        look.now_s,
        state.limit_w,
        look.power_w,
        state.due_s if is_down else None,
        _is_met(state, look) if is_down else None,
        is_superseded,
    )


def _or_infinite(limit_w: float | None) -> float:
    return math.inf if limit_w is None else limit_w
