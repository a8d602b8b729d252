"""Actions that raised the power while a call was in force, by playing the same seconds without them. Pure.

Before the commands of a tick are carried out the simulated site is copied. Where the mean power of the tick then came
out above the limit, the copy is played on under the former table, without the commands: if it draws less, the action
raised the power during the event.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from controller.model.grid import GridEvent
from controller.model.plan import Commands
from controller.simulation.fluid import FluidSite
from controller.study.site.engines import SimSite
from controller.study.site.make_site import SiteCase

LEAST_FRAC = 0.005
"""Of the limit: a smaller difference is none."""


@dataclass(frozen=True, slots=True)
class Raise:
    """An action that raised the power above the limit.

    Attributes:
        in_ramp: before the limit had to be kept.
        raised_w: mean over the tick, with less without the action.
        over_w: by how much it came out above the limit.
    """

    time_s: float
    in_ramp: bool
    raised_w: float
    over_w: float


@dataclass(frozen=True, slots=True)
class _Before:
    tick: int
    now_s: float
    energy_j: float
    copied: FluidSite
    event: GridEvent


class RaiseWatch:
    """Looks on as commands are carried out.

    Attributes:
        raises: what was found.
        actions: commands of ticks in force that were looked at.
    """

    def __init__(self, case: SiteCase, events: Callable[[], tuple[GridEvent, ...]], acts: Callable[[], bool]) -> None:
        """Watch a run.

        Args:
            case: what is played.
            events: the limits known by now.
            acts: whether the commands at hand were decided at this tick.
        """
        self._case, self._events, self._acts = case, events, acts
        self._before: _Before | None = None
        self.raises: list[Raise] = []
        self.actions = 0

    def before(self, simulated: SimSite, commands: Commands, tick: int) -> None:
        """Judge the last action, and copy the site before the next one."""
        now_s = self._case.start_s + tick * self._case.tick_s
        if self._before is not None:
            self._judge(self._before, simulated.energy_j(), now_s)
            self._before = None
        binding = [event for event in self._events() if event.start_s <= now_s < event.end_s]
        if not binding or not self._acts() or not isinstance(simulated, FluidSite):
            return
        self.actions += 1
        event = min(binding, key=lambda each: each.limit_w)
        site = self._case.site
        copied = copy.deepcopy(simulated, {id(site): site, id(site.pools): site.pools})
        self._before = _Before(tick, now_s, simulated.energy_j(), copied, event)

    def _judge(self, before: _Before, energy_j: float, now_s: float) -> None:
        limit_w, passed_s = before.event.limit_w, now_s - before.now_s
        with_w = (energy_j - before.energy_j) / passed_s
        if with_w <= limit_w or now_s > before.event.end_s:
            return
        before.copied.ask(self._case.asked_per_s[before.tick])
        before.copied.advance(now_s)
        without_w = (before.copied.energy_j() - before.energy_j) / passed_s
        if with_w - without_w > LEAST_FRAC * limit_w:
            in_ramp = before.now_s < before.event.start_s + before.event.ramp_s
            self.raises.append(Raise(before.now_s, in_ramp, with_w - without_w, with_w - limit_w))
