"""The desk of thresholds in the loop: makes calls of what feeds of price and carbon tell, and changes them with it.

Its calls go through the same book as those of the grid: one limit comes of all of them, each is recorded, settled and
reported, and an operator may opt out of it. It only ever asks for less; a low price takes no other call's limit away.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping

from controller.errors import ControllerError
from controller.grid.easing import present
from controller.grid.thresholds import Changes, Run, changes, id_of, runs_above, source_of, stem_of, told_of
from controller.loop.status import Status
from controller.model.call import Call, CallInterval
from controller.model.grid import Series
from controller.model.programme import Programme
from controller.model.threshold import FeedSignal, Threshold
from controller.signals.calls import CallBook

log = logging.getLogger(__name__)

REST_S = 60.0
"""What was refused is not asked for again before this time has passed."""
MAX_TOLD = 288
"""Intervals of the feed that are kept with a call's record."""
_LATER_S = 1e-3


class ThresholdDesk:
    """A watcher of the runner.

    Args:
        book: of calls.
        programmes: whose thresholds are followed, by name.
        may_act: whether this controller leads; one that does not leaves its calls as they are.
    """

    def __init__(
        self, book: CallBook, programmes: Mapping[str, Programme], may_act: Callable[[], bool] = lambda: True
    ) -> None:
        self._book = book
        self._programmes = programmes
        self._may_act = may_act
        self._resting: dict[str, float] = {}

    def take(self, status: Status) -> None:
        """Bring the calls of all thresholds in line with what is known."""
        if not self._may_act():
            return
        now_s = status.observation.now_s
        self._resting = {name: until_s for name, until_s in self._resting.items() if now_s < until_s <= now_s + REST_S}
        for signal in FeedSignal:
            known = getattr(status.observation, signal.value)
            self._watch(signal, known, now_s)
            held = self._held(signal, now_s)
            for programme, threshold in self._of(signal):
                stem = stem_of(programme.name, threshold)
                own = tuple(c for c in held if c.programme == programme.name and c.call_id.startswith(stem))
                held = tuple(call for call in held if call not in own)
                if isinstance(known, Series):
                    follow = functools.partial(self._follow, programme, threshold, known, own, now_s)
                    self._try(source_of(signal) + " " + stem, follow, now_s)
            self._try(source_of(signal), functools.partial(self._end, held, "no threshold asks for it", now_s), now_s)

    def _try(self, name: str, change: Callable[[], None], now_s: float) -> None:
        """Do it; what is refused is told, and rests."""
        if name in self._resting:
            return
        try:
            change()
        except ControllerError as error:
            self._resting[name] = now_s + REST_S
            log.warning("a threshold is not followed", extra={"threshold": name, "reason": str(error)})

    def _end(self, calls: tuple[Call, ...], reason: str, now_s: float) -> None:
        for call in calls:
            self._book.cancel(call.source, call.call_id, now_s, reason=reason)

    def _of(self, signal: FeedSignal) -> Iterator[tuple[Programme, Threshold]]:
        for programme in self._programmes.values():
            for threshold in programme.thresholds:
                if threshold.signal is signal:
                    yield programme, threshold

    def _watch(self, signal: FeedSignal, known: object, now_s: float) -> None:
        """Expect the feed to be heard: its silence is told, and acted upon as that of any source."""
        names = tuple(sorted({programme.name for programme, _ in self._of(signal)}))
        if not names:
            return
        self._book.watch(source_of(signal), names, now_s)
        if isinstance(known, Series):
            self._book.heard(source_of(signal), now_s)

    def _held(self, signal: FeedSignal, now_s: float) -> tuple[Call, ...]:
        source = source_of(signal)
        mine = (kept for kept in self._book.kept.all() if kept.call.source == source and not kept.is_over(now_s))
        return tuple(kept.call for kept in mine if kept.call.end_s > now_s)

    def _follow(
        self, programme: Programme, threshold: Threshold, known: Series, held: tuple[Call, ...], now_s: float
    ) -> None:
        since_s = min((call.start_s for call in held if call.start_s <= now_s), default=None)
        runs = runs_above(known, threshold, now_s, hold_s=programme.hold_s, since_s=since_s)
        todo: Changes = changes(threshold, held, runs, known.end_s)
        self._end(todo.over, f"{threshold.signal.value} is not above {threshold.above:g} then", now_s)
        for before, run in todo.asked:
            call_id = id_of(programme.name, threshold, run.start_s) if before is None else before.call_id
            last = self._book.kept.get(source_of(threshold.signal), call_id)
            call = _call(programme, threshold, run, call_id, None if last is None else last.call, now_s)
            self._book.submit(call, now_s, raw=_raw(threshold, known, run))
            part = None if last is None else present(last.easings)
            if part is not None:
                self._book.follow_in_part(call.source, call_id, part.floor_w, part.reason, now_s)


def _call(programme: Programme, threshold: Threshold, run: Run, call_id: str, last: Call | None, now_s: float) -> Call:
    """A stretch as a call; one that was opted out of before stays so, in part too, where it comes back."""
    return Call(
        call_id=call_id,
        source=source_of(threshold.signal),
        programme=programme.name,
        received_s=now_s,
        modified_s=now_s if last is None else max(now_s, last.modified_s + _LATER_S),
        intervals=(CallInterval(run.start_s, run.end_s, threshold.asks),),
        opted_out=None if last is None else last.opted_out,
    )


def _raw(threshold: Threshold, known: Series, run: Run) -> str:
    """What the call was made of, for the record."""
    told = {
        "signal": threshold.signal.value,
        "above": threshold.above,
        "until_below": threshold.until_below,
        "source": known.source,
        "quality": known.quality.value,
        "issued_at_s": known.issued_at_s,
        "intervals": told_of(known, run, MAX_TOLD),
    }
    return json.dumps(told)
