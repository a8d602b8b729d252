"""The study `site`: from its settings to its result and report."""

from __future__ import annotations

import numpy as np

from controller.clock import SystemClock
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.study.site.make_site import SiteCase, grid_event, make_site
from controller.study.site.play import FixedDecider, TickDecider, play
from controller.study.site.report import report
from controller.study.site.report_charts import Found
from controller.study.site.result import result
from controller.study.site.settings import SiteStudySettings
from controller.study.study import Outcome, Progress, Study

_FIXED_FRAC = 0.1
"""Share of the work that the fixed fleet takes."""


def run(settings: SiteStudySettings, progress: Progress) -> Outcome:
    """Compute the outcome of a scenario.

    Raises:
        ConfigError: the span is not within the bundled prices, a class can be served by no pool in time, or the GPUs do
            not suffice for the fixed fleet.
    """
    case = make_site(settings)
    fixed = play(case, case.fixed, FixedDecider(case), (), lambda done: progress(_FIXED_FRAC * done, "fixed fleet"))
    events = events_of(settings, case, fixed.power_w)
    planner = CvxpyPlanner(SystemClock().monotonic_s, SolverOptions(gap_frac=settings.plan.gap_frac))
    controlled = play(
        case,
        case.site,
        TickDecider(case, planner),
        events,
        lambda done: progress(_FIXED_FRAC + (1.0 - _FIXED_FRAC) * done, "under the controller"),
    )
    figures = result(case, fixed, controlled, events)
    progress(1.0, "done")
    return Outcome({"result": figures}, report(settings, Found(case, fixed, controlled, events, figures)))


def events_of(settings: SiteStudySettings, case: SiteCase, fixed_w: np.ndarray) -> tuple[GridEvent, ...]:
    """The scenario's events; `fixed_w` is what their fractions are of, one entry an interval."""
    times_s = case.times_s
    out = []
    for written in settings.events:
        if written.limit_kw is not None:
            limit_w = 1000.0 * written.limit_kw
        elif written.limit_frac is not None:
            within = (times_s >= written.start.timestamp()) & (times_s < written.end.timestamp())
            if not within.any():
                within = times_s == times_s[times_s <= written.start.timestamp()].max()
            limit_w = written.limit_frac * float(fixed_w[within].mean())
        else:
            raise ValueError(f"event {written.name!r} has no limit; write limit_kw or limit_frac")
        out.append(grid_event(written, limit_w))
    return tuple(out)


STUDY = Study("site", SiteStudySettings, run)
