"""Who calls and who decides in a simulated event: the real book of calls, and the tick when it counts.

A call is kept by the controller's own `CallBook`, which resolves it against what the simulated meter has shown, as in
service. Pure but for the solver's clock: time is the observation's.
"""

from __future__ import annotations

import dataclasses

from controller.grid.draw_history import DrawHistory
from controller.model.grid import GridEvent
from controller.model.observation import Observation, Reading
from controller.model.plan import Commands
from controller.signals.calls import CallBook
from controller.signals.references import References
from controller.study.events.calls import PROGRAMME, call_of
from controller.study.events.part import Part
from controller.study.site.play import Decider, TickRecord

SETTLES_S = 300.0
"""After a ramp, and after the end, every tick is decided for this long."""
_NEAR_S = 90.0
_AWAY = 2
"""Before and after a call so many times fewer ticks are decided than while it lasts."""


class Unkept:
    """Keeps no record: the study's figures are its record."""

    def record(self, kind: str, time_s: float, payload: dict[str, object]) -> None:
        """Let it go."""


class CalledDecider:
    """Hears the call at its time, and lets another decide; in calm times only every few ticks.

    Times are calm where neither a call nor its end is near and no instance changes what it does.

    Attributes:
        records: one a decision, with its time.
        decided: whether the last commands were decided at this tick rather than left standing.
        events: all limits that the call came to; those of the last look.
    """

    def __init__(self, part: Part, decider: Decider, calm_ticks: int) -> None:
        self._part, self._decider, self._calm_ticks = part, decider, calm_ticks
        self._references = References(prepare_s=part.case.policy.prepare_s)
        self._book = CallBook(Unkept(), {PROGRAMME: part.programme}, self._references)
        self._draws = DrawHistory()
        self._sent = False
        self._ticks = 0
        self._is_moving = False
        self._commands: Commands | None = None
        self.records: list[tuple[float, TickRecord]] = []
        self.decided = False
        self.events: tuple[GridEvent, ...] = ()

    def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
        """One tick."""
        now_s, power = observation.now_s, observation.site_power
        if isinstance(power, Reading):
            self._references.take(power.observed_at_s, power.value_w)
            self._draws.take(power.observed_at_s, power.value_w)
        is_news = self._send(now_s)
        current = self._book.current(now_s)
        if views := self._book.calls(now_s):
            self.events = views[0].events
        self._ticks += 1
        every = self._calm_ticks if self._part.start_s <= now_s < self._part.end_s else _AWAY * self._calm_ticks
        is_due = self._ticks % every == 0 or self._is_moving
        self.decided = is_news or self._commands is None or self._is_busy(now_s) or is_due
        if not self.decided and self._commands is not None:
            return Commands(self._commands.table), None
        commands, record = self._decider.decide(dataclasses.replace(observation, events=current))
        self._commands = commands
        if record is not None:
            self.records.append((now_s, record))
            self._is_moving = record.is_moving
        return commands, record

    def _send(self, now_s: float) -> bool:
        if self._sent or now_s < self._part.notice_s:
            return False
        drawn_w = self._draws.mean_w(now_s - self._part.programme.baseline.window_s, now_s)
        if drawn_w is None:
            drawn_w = self._draws.at(now_s)
        if drawn_w is None:
            raise ValueError("the simulated meter shows nothing before the call; lengthen before_s")
        foreseen_w = drawn_w * self._part.load_ratio(now_s)
        self._book.submit(call_of(self._part.wanted, self._part.start_s, now_s, foreseen_w), now_s)
        self._sent = True
        return True

    def _is_busy(self, now_s: float) -> bool:
        """Whether the power is on its way somewhere."""
        part, ramp_s = self._part, self._part.wanted.ramp_s
        if part.notice_s <= now_s < part.notice_s + _NEAR_S:
            return True
        for stretch in part.wanted.stretches:
            from_s, until_s = part.start_s + stretch.from_s, part.start_s + stretch.until_s
            if from_s - _NEAR_S <= now_s < from_s + ramp_s + SETTLES_S or until_s <= now_s < until_s + SETTLES_S:
                return True
        return False
