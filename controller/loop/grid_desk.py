"""The desk of the grid in the loop: gives the book of calls what was drawn, shows metrics and state, keeps the links.

Calls are followed without it; what it does at each look is to remember the draw that relative calls are counted from,
and to tell.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.clock import Clock, boot_name
from controller.errors import StoreError
from controller.grid.loss import LinkState
from controller.grid.site_limit import SiteLimit, Stretch, site_limit
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.memory import Memory
from controller.loop.clock_judge import ClockView
from controller.loop.continuity import Keep
from controller.loop.status import Status
from controller.metrics.grid import GridMetrics
from controller.model.observation import Reading
from controller.model.programme import Programme
from controller.signals import call_log
from controller.signals.call_views import CallView
from controller.signals.calls import CallBook
from controller.signals.clock_steps import ClockSteps
from controller.signals.gone import MAX_GONE
from controller.signals.links import KeptLinks
from controller.signals.references import References
from controller.store.ledger import Journal
from controller.store.state import StateFile

log = logging.getLogger(__name__)

LINKS_NAME = "grid.json"
HORIZON_S = 7 * 86_400.0
"""How far ahead limits are told."""


@dataclass(frozen=True, slots=True)
class GridStatus:
    """The latest of the grid, for the page and the API.

    Attributes:
        limit: over the next days.
        clock: by which all of it is told; None where it is not watched.
    """

    now_s: float
    calls: tuple[CallView, ...]
    sources: tuple[LinkState, ...]
    limit: SiteLimit
    clock: ClockView | None = None


class GridDesk:
    """What the loop calls at each look.

    Attributes:
        status: None before the first look.
    """

    def __init__(
        self,
        book: CallBook,
        references: References,
        metrics: GridMetrics,
        *,
        standing_limit_w: float | None = None,
        clock: Callable[[], ClockView | None] = lambda: None,
    ) -> None:
        self._book = book
        self._references = references
        self._metrics = metrics
        self._standing_limit_w = standing_limit_w
        self._clock = clock
        self._told: tuple[float | None, str | None] = (standing_limit_w, None)
        self.status: GridStatus | None = None

    def take(self, status: Status) -> None:
        """Remember what is drawn, and show what holds."""
        observation = status.observation
        power, now_s = observation.site_power, observation.now_s
        modelled_w = None if status.decision is None else status.decision.diagnostics.modelled_w
        if isinstance(power, Reading):
            self._references.take(power.observed_at_s, power.value_w, modelled_w)
        else:
            self._references.take(now_s, None, modelled_w)
        views, sources = self._book.calls(now_s), self._book.sources(now_s)
        limit = site_limit(observation.events, self._standing_limit_w, now_s, now_s + HORIZON_S)
        self.status = GridStatus(now_s, views, sources, limit, self._clock())
        self._metrics.show_sources(sources, now_s)
        self._metrics.show_calls(views, now_s)
        self._metrics.show_limit(limit, now_s)
        self._metrics.count(self._book.refused, self._book.steps)
        self._tell(limit.at(now_s))

    def _tell(self, stretch: Stretch | None) -> None:
        """Log the limit that holds, where it is another than before or another call's."""
        if stretch is None:
            return
        event = stretch.event
        told = (stretch.limit_w, None if event is None else event.event_id)
        if told == self._told:
            return
        self._told = told
        extra = {
            "limit_w": stretch.limit_w,
            "event_id": told[1],
            "source": None if event is None else event.source,
            "programme": None if event is None else event.programme,
            "until_s": stretch.end_s,
        }
        log.info("another limit holds", extra=extra)


class LinkFile:
    """The file that tells the next process when each source was heard, what calls are over, and what clocks showed.

    Args:
        folder: of the file.
        book: whose it is.
        steps: watches the clock.
    """

    def __init__(self, folder: Path, book: CallBook, steps: ClockSteps | None = None) -> None:
        self._file = StateFile(folder / LINKS_NAME)
        self._book = book
        self._steps = steps

    def take_up(self, now_s: float) -> None:
        """Let the book go on from what a former process has kept."""
        try:
            parts = self._file.load(links=KeptLinks)
        except StoreError as error:
            self._file.set_aside(error, "links not restored: every source counts as heard until now")
            return
        if parts is None:
            return
        kept: KeptLinks = parts["links"]
        self._book.kept.gone.resume(kept.gone)
        if self._steps is not None:
            self._steps.resume(kept.clock)
        self._book.links.resume(kept, now_s)

    def keeping(self, keep: Keep) -> Keep:
        """The same as `keep`, and the links with it."""

        async def both(memory: Memory, sleepers: tuple[Sleeper, ...], now_s: float) -> None:
            await keep(memory, sleepers, now_s)
            kept = self._book.links.kept(now_s)
            mark = None if self._steps is None else self._steps.seen
            kept = dataclasses.replace(kept, gone=self._book.kept.gone.kept(), clock=mark)
            await asyncio.to_thread(self._file.save, links=kept)

        return both


def open_calls(
    folder: Path,
    ledger: Journal,
    programmes: Mapping[str, Programme],
    references: References,
    clock: Clock,
) -> tuple[CallBook, LinkFile, ClockSteps]:
    """The book of calls as a former process left it, the file that is kept beside its records, and the clock's watch.

    Args:
        folder: of the file of links.
        ledger: with the calls' records.
        programmes: terms by name.
        references: what relative calls are counted from.
        clock: both clocks, which are compared from now on.
    """
    steps = ClockSteps(clock, boot_name())
    book = CallBook(ledger, programmes, references, look=steps.look)
    steps.tell(book.step)
    steps.tell(lambda step_s, now_s: references.shift(step_s))
    now_s = clock.wall_s()
    kept = ledger.records(call_log.RECORD_KIND, last=call_log.RESTORED_RECORDS)
    restored = book.restore((record.payload for record in kept), now_s)
    if restored:
        log.info("calls restored", extra={"count": restored})
    overtaken = ledger.records(call_log.GONE_KIND, last=MAX_GONE)
    book.kept.gone.resume(call_log.read_gone(record.payload for record in overtaken))
    links = LinkFile(folder, book, steps)
    links.take_up(now_s)
    references.recall(now_s, steps.last_s or 0.0)
    return book, links, steps
