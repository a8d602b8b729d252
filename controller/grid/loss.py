"""What holds while a source of calls is silent (R10, R11); pure.

What is known goes on: a call is over when its time is over or its sender says so, never because the sender is not
reached. Once a source was silent for the programme's hold time and what is known of its schedule is exhausted, the
programme's default limit holds, or none, as its contract says. It is gone with the first sign of life.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.grid.kept import KeptCall
from controller.model.grid import FOREVER_S, GridEvent
from controller.model.programme import OnLoss, Programme

GRACE_S = 30.0
"""A source that was heard to the end of a former process has this long to be heard by the next one."""


@dataclass(frozen=True, slots=True)
class Link:
    """A source that is expected to be heard.

    Attributes:
        programmes: whose calls come from it.
        watched_s: since when it is expected.
        heard_s: when it was last heard; None for never.
        grace_until_s: before this it does not count as lost.
        defaults_w: default limits that it told itself, by programme (OpenADR's capacity subscription).
    """

    source: str
    programmes: tuple[str, ...]
    watched_s: float
    heard_s: float | None = None
    grace_until_s: float = 0.0
    defaults_w: tuple[tuple[str, float], ...] = ()

    def silent_s(self, now_s: float) -> float:
        """For how long it was not heard."""
        return max(0.0, now_s - (self.watched_s if self.heard_s is None else self.heard_s))

    def default_w(self, programme: Programme) -> float | None:
        """The limit that holds when it is lost: the one it told, else the programme's."""
        return dict(self.defaults_w).get(programme.name, programme.default_limit_w)


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a source stands.

    Attributes:
        silent_s: for how long it was not heard.
        is_lost: whether that is longer than the hold time of one of its programmes.
        defaults: default limits that hold, or will when the known schedule is exhausted.
    """

    source: str
    silent_s: float
    heard_s: float | None
    is_lost: bool
    defaults: tuple[GridEvent, ...] = ()


def lost_at_s(link: Link, programme: Programme) -> float:
    """When the source counts as lost to a programme if it is not heard again."""
    silent_since_s = link.watched_s if link.heard_s is None else link.heard_s
    return max(silent_since_s + programme.hold_s, link.grace_until_s)


def known_until_s(calls: Iterable[KeptCall], source: str, programme: str) -> float:
    """End of the schedule that is known of a source and programme; minus infinity without any."""
    ends = [
        kept.end_s
        for kept in calls
        if kept.call.source == source and kept.call.programme == programme and kept.cancelled_s is None
    ]
    return max(ends, default=float("-inf"))


def default_event(link: Link, programme: Programme, calls: Iterable[KeptCall], now_s: float) -> GridEvent | None:
    """The default limit of a lost source, in force or to come; None where it is heard, or nothing is to hold."""
    lost_s, limit_w = lost_at_s(link, programme), link.default_w(programme)
    if now_s < lost_s or limit_w is None or programme.on_loss is OnLoss.NORMAL:
        return None
    start_s = max(lost_s, known_until_s(calls, link.source, programme.name))
    if start_s >= FOREVER_S:
        return None
    return GridEvent(
        event_id=f"lost:{link.source}:{programme.name}",
        limit_w=limit_w,
        start_s=start_s,
        end_s=FOREVER_S,
        notice_s=lost_s,
        ramp_s=programme.ramp_s,
        source=link.source,
        programme=programme.name,
        precedence=programme.precedence,
        restore_w_per_s=programme.restore_w_per_s,
        prepare_s=programme.prepare_s,
    )


def state_of(link: Link, programmes: Iterable[Programme], calls: tuple[KeptCall, ...], now_s: float) -> LinkState:
    """How a source stands to the programmes whose calls come from it."""
    own = tuple(programme for programme in programmes if programme.name in link.programmes)
    events = tuple(event for programme in own if (event := default_event(link, programme, calls, now_s)) is not None)
    is_lost = any(now_s >= lost_at_s(link, programme) for programme in own)
    return LinkState(link.source, link.silent_s(now_s), link.heard_s, is_lost, events)
