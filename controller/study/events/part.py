"""One event of the study: fleet, call and load, all drawn from the seed and the event's number, and its run. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.model.grid import GridEvent
from controller.model.programme import Programme
from controller.study.events.calls import Wanted, draw_call, programme_of
from controller.study.events.fleets import FLEX, PRIORITIES, UTILISATION_FRAC, draw_fleet
from controller.study.events.floor import Floor, floor_of
from controller.study.events.raises import Raise
from controller.study.events.settings import EventsStudySettings
from controller.study.events.traces import Recorded
from controller.study.site.make_site import SiteCase, make_site
from controller.study.site.play import Played, TickRecord

LEAST_LOAD, MOST_LOAD = 0.45, 0.8
"""Busiest settlement interval of the run, as a share of the most that the fleet serves as promised."""
_HOUR_S = 3600.0
_BEFORE_NOTICE_S = 600.0
_TICKS_PER_TABLE = 4.0
_HALVINGS = 10


@dataclass(frozen=True, slots=True)
class Part:
    """An event, ready to be played.

    Attributes:
        case: with the demand of the traces.
        start_s: of the call, wall clock.
        load_frac: busiest settlement interval over the most that the fleet serves.
    """

    number: int
    case: SiteCase
    programme: Programme
    wanted: Wanted
    start_s: float
    load_frac: float

    @property
    def notice_s(self) -> float:
        """When the call is sent."""
        return self.start_s - self.wanted.notice_s

    @property
    def end_s(self) -> float:
        """End of the call."""
        return self.start_s + self.wanted.length_s

    @property
    def flex(self) -> tuple[bool, ...]:
        """Whether each class yields first."""
        return tuple(cls.class_id == FLEX for cls in self.case.site.classes)

    def load_ratio(self, now_s: float) -> float:
        """Tokens asked for in the baseline's window over those asked for in a window as long until now.

        Who sends an absolute limit hours ahead knows the day's course; without that, its depth would be another.
        """
        window_s = self.programme.baseline.window_s
        return self._tokens(self.start_s - window_s, self.start_s) / self._tokens(now_s - window_s, now_s)

    def _tokens(self, from_s: float, until_s: float) -> float:
        begin, tick_s = self.case.start_s, self.case.tick_s
        first, last = (max(0, round((at_s - begin) / tick_s)) for at_s in (from_s, until_s))
        return float(self.case.asked_per_s[first : max(first + 1, last), :, 1:].sum(axis=(1, 2)).mean())

    def floor(self, from_s: float, until_s: float, interval_s: float) -> Floor:
        """The floor of the busiest settlement interval of [from_s, until_s)."""
        busiest = _busiest(self.case, from_s, until_s, interval_s)
        return floor_of(self.case.site, busiest, self.flex, UTILISATION_FRAC)


@dataclass(frozen=True, slots=True)
class Run:
    """A played event.

    Attributes:
        events: limits that the call came to.
        records: decisions with their times.
        raises: actions that raised the power; `actions` were looked at.
    """

    part: Part
    played: Played
    events: tuple[GridEvent, ...]
    records: Sequence[tuple[float, TickRecord]]
    raises: Sequence[Raise]
    actions: int


def make_part(settings: EventsStudySettings, number: int, recorded: tuple[Recorded, Recorded]) -> Part:
    """Event `number` of a scenario.

    Raises:
        ConfigError: the drawn fleet cannot be made.
    """
    rng = np.random.default_rng([settings.seed, number])
    wanted, load_frac = draw_call(rng, settings), float(rng.uniform(LEAST_LOAD, MOST_LOAD))
    tick_s = settings.tick_s
    before_s = math.ceil(max(settings.before_s, wanted.notice_s + _BEFORE_NOTICE_S) / tick_s) * tick_s
    ticks = math.ceil((before_s + wanted.length_s + settings.after_s) / tick_s)
    fleet = draw_fleet(rng, recorded, settings.pools, ticks * tick_s / _HOUR_S, tick_s)
    case = make_site(fleet.settings)
    ranked = tuple(dataclasses.replace(cls, priority=PRIORITIES.get(cls.class_id, 0)) for cls in case.site.classes)
    above = frozenset(cls.class_id for cls in ranked if not cls.may_wait)
    case = dataclasses.replace(case, site=dataclasses.replace(case.site, classes=ranked), impatient=above)
    asked = np.stack([wish.asked_per_s(ticks, tick_s) for wish in fleet.wishes], axis=1)
    policy = dataclasses.replace(case.policy, table_ttl_s=_TICKS_PER_TABLE * settings.calm_ticks * 2.0 * tick_s)
    case = dataclasses.replace(case, asked_per_s=asked, policy=policy)
    most = _most_scale(case, settings.settlement_interval_s)
    case = dataclasses.replace(case, asked_per_s=asked * (load_frac * most))
    draws = sum(len(pool.instances) * pool.gpus_per_instance for pool in case.site.pools)
    most_w = case.site.pue * 700.0 * draws + case.site.aux_w
    return Part(number, case, programme_of(wanted, settings, most_w), wanted, case.start_s + before_s, load_frac)


def _busiest(case: SiteCase, from_s: float, until_s: float, interval_s: float) -> np.ndarray:
    """Output tokens/s of each class in the settlement interval with most tokens of prompts and answers, (R,)."""
    first = int((from_s - case.start_s) // case.tick_s)
    last = max(first + 1, math.ceil((until_s - case.start_s) / case.tick_s))
    within = case.asked_per_s[first:last]
    each = max(1, round(interval_s / case.tick_s))
    parts = [within[at : at + each].mean(axis=0) for at in range(0, len(within), each)]
    return np.asarray(max(parts, key=lambda part: float(part[:, 1:].sum()))[:, 2])


def _most_scale(case: SiteCase, interval_s: float) -> float:
    """How many times the present load the fleet serves as promised at the busiest time."""
    end_s = case.start_s + len(case.asked_per_s) * case.tick_s
    busiest = _busiest(case, case.start_s, end_s, interval_s)
    flex = (False,) * len(case.site.classes)
    least, most = 0.0, 1.0
    while floor_of(case.site, most * busiest, flex, UTILISATION_FRAC).served_w is not None:
        least, most = most, 2.0 * most
    for _ in range(_HALVINGS):
        middle = 0.5 * (least + most)
        if floor_of(case.site, middle * busiest, flex, UTILISATION_FRAC).served_w is None:
            most = middle
        else:
            least = middle
    return least
