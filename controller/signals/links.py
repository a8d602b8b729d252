"""The sources of calls that are expected to be heard, and when each one was."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from controller.errors import ConfigError
from controller.grid.kept import KeptCall
from controller.grid.loss import GRACE_S, Link, LinkState, state_of
from controller.model.programme import Programme
from controller.signals.clock_steps import ClockMark
from controller.signals.gone import Gone

log = logging.getLogger(__name__)

MAX_LINKS = 32
SET_BACK_S = 10.0
"""A source that was heard this much later than now was heard before the clock was set back."""
FORGET_S = 7 * 86_400.0
"""A source that is not watched any more is forgotten after this time."""


@dataclass(frozen=True, slots=True)
class KeptLinks:
    """What the next process must know.

    Attributes:
        lost: sources that were lost.
        gone: calls that are held no more, of which no older message may revive one.
        clock: both clocks as this was kept.
    """

    links: tuple[Link, ...]
    lost: tuple[str, ...]
    kept_at_s: float
    gone: tuple[Gone, ...] = ()
    clock: ClockMark | None = None


class Links:
    """Says who is silent; a source counts only once it is watched."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._former: dict[str, Link] = {}
        self._lost: set[str] = set()

    def watch(self, source: str, programmes: tuple[str, ...], now_s: float) -> None:
        """Expect a source to be heard; a source that a former process heard goes on from there.

        Raises:
            ConfigError: there are more sources than can be watched.
        """
        if source not in self._links and len(self._links) >= MAX_LINKS:
            raise ConfigError(f"{source}: {MAX_LINKS} sources of calls are watched already; configure fewer")
        known = self._links.get(source) or self._former.pop(source, None) or Link(source, programmes, now_s)
        self._links[source] = dataclasses.replace(known, programmes=programmes)

    def rest(self) -> None:
        """Expect nobody, until the sources are watched again."""
        self._former |= self._links
        self._links.clear()

    def heard(self, source: str, now_s: float) -> None:
        """A watched source was heard."""
        link = self._links.get(source)
        if link is not None:
            self._links[source] = dataclasses.replace(link, heard_s=now_s)

    def subscribe(self, source: str, programme: str, limit_w: float | None) -> None:
        """Note the default limit that a watched source tells of itself; None lets it go."""
        link = self._links.get(source)
        if link is None:
            return
        others = tuple((name, value_w) for name, value_w in link.defaults_w if name != programme)
        own = () if limit_w is None else ((programme, limit_w),)
        self._links[source] = dataclasses.replace(link, defaults_w=others + own)

    def shift(self, step_s: float) -> None:
        """Move when sources were heard with a clock that was set ahead by so much: that is no silence of theirs."""
        for links in (self._links, self._former):
            links |= {source: _shifted(link, step_s) for source, link in links.items()}

    def states(
        self, programmes: Mapping[str, Programme], calls: tuple[KeptCall, ...], now_s: float
    ) -> tuple[LinkState, ...]:
        """How each one stands; the loss of one and its return are logged."""
        for link in self._links.values():
            if link.heard_s is not None and link.heard_s > now_s + SET_BACK_S:  # silence counts from now on
                self._links[link.source] = dataclasses.replace(link, heard_s=now_s)
        states = tuple(state_of(link, programmes.values(), calls, now_s) for link in self._links.values())
        for state in states:
            self._tell(state)
        return states

    def kept(self, now_s: float) -> KeptLinks:
        """What the next process must know, of sources that this one has not begun to watch yet, too."""
        former = [link for link in self._former.values() if link.silent_s(now_s) < FORGET_S]
        lost = self._lost | {link.source for link in former if link.grace_until_s <= 0}
        return KeptLinks((*self._links.values(), *former)[:MAX_LINKS], tuple(sorted(lost)), now_s)

    def resume(self, kept: KeptLinks, now_s: float) -> None:
        """Go on from a former process: who was lost stays so until heard, the others have a moment to be heard."""
        for link in kept.links[:MAX_LINKS]:
            grace_until_s = 0.0 if link.source in kept.lost else now_s + GRACE_S
            heard_s = None if link.heard_s is None else min(link.heard_s, now_s)
            known = dataclasses.replace(
                link, heard_s=heard_s, watched_s=min(link.watched_s, now_s), grace_until_s=grace_until_s
            )
            if link.source in self._links:
                self._links[link.source] = dataclasses.replace(known, programmes=self._links[link.source].programmes)
            else:
                self._former[link.source] = known

    def _tell(self, state: LinkState) -> None:
        if state.is_lost and state.source not in self._lost:
            self._lost.add(state.source)
            log.error(
                "source of calls is lost: what is known of its schedule goes on",
                extra={
                    "source": state.source,
                    "silent_s": round(state.silent_s, 1),
                    "default_limits_w": [event.limit_w for event in state.defaults],
                },
            )
        elif not state.is_lost and state.source in self._lost:
            self._lost.discard(state.source)
            log.info("source of calls is heard again", extra={"source": state.source})


def _shifted(link: Link, step_s: float) -> Link:
    return dataclasses.replace(
        link,
        watched_s=link.watched_s + step_s,
        heard_s=None if link.heard_s is None else link.heard_s + step_s,
        grace_until_s=link.grace_until_s + step_s if link.grace_until_s > 0 else link.grace_until_s,
    )
