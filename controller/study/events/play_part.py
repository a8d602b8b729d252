"""Plays one event of the study, from its number to its figures."""

from __future__ import annotations

from controller.clock import SystemClock
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.study.events.account import EventFigures, figures_of
from controller.study.events.caller import CalledDecider
from controller.study.events.part import Run, make_part
from controller.study.events.raises import RaiseWatch
from controller.study.events.settings import EventsStudySettings
from controller.study.events.traces import recorded
from controller.study.site.play import TickDecider, play

GAP_FRAC = 3e-3


def play_part(settings: EventsStudySettings, number: int) -> EventFigures:
    """Event `number` of a scenario: drawn, played and accounted for.

    Raises:
        ConfigError: the drawn fleet cannot be made.
    """
    run = run_part(settings, number)
    return figures_of(run, settings.settlement_interval_s)


def run_part(settings: EventsStudySettings, number: int) -> Run:
    """Event `number` of a scenario, drawn and played.

    Raises:
        ConfigError: the drawn fleet cannot be made.
    """
    part = make_part(settings, number, recorded())
    planner = CvxpyPlanner(SystemClock().monotonic_s, SolverOptions(gap_frac=GAP_FRAC))
    decider = CalledDecider(part, TickDecider(part.case, planner), settings.calm_ticks)
    watch = RaiseWatch(part.case, lambda: decider.events, lambda: decider.decided)
    played = play(part.case, part.case.site, decider, (), lambda _: None, watcher=watch)
    return Run(part, played, decider.events, decider.records, watch.raises, watch.actions)
