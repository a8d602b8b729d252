"""The study `fleet`: from its settings to its result and report."""

from __future__ import annotations

from controller.clock import SystemClock
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.study.fleet.case import FleetCase
from controller.study.fleet.levers import Row, bound_usd, rows
from controller.study.fleet.make_case import make_case
from controller.study.fleet.report import report
from controller.study.fleet.result import FleetResult, LeverResult
from controller.study.fleet.settings import FleetSettings
from controller.study.study import Outcome, Progress, Study

SAME_TOKENS = 1e-6
"""Largest difference between rows' output tokens, as a share, that counts as none."""
_PLAYING_FRAC = 0.97


def run(settings: FleetSettings, progress: Progress) -> Outcome:
    """Compute the outcome of a scenario.

    Raises:
        ConfigError: the span is not within the bundled prices, a class can be served by no pool, or the GPUs do not
            suffice for the fixed fleet that the levers are compared with.
    """
    case = make_case(settings)

    def make_planner() -> CvxpyPlanner:
        return CvxpyPlanner(SystemClock().monotonic_s, SolverOptions(gap_frac=settings.plan.gap_frac))

    played = rows(case, make_planner, lambda done, doing: progress(_PLAYING_FRAC * done, doing))
    progress(_PLAYING_FRAC, "perfect foresight")
    result = _result(settings, case, played, bound_usd(played[-1].case, make_planner()))
    progress(1.0, "done")
    return Outcome({"result": result}, report(settings, result, played))


def same_tokens(played: tuple[Row, ...]) -> bool:
    """Whether every row served the same output tokens."""
    tokens = [row.totals.output_tokens for row in played]
    return max(tokens) - min(tokens) <= SAME_TOKENS * max(tokens)


STUDY = Study("fleet", FleetSettings, run)


def _result(settings: FleetSettings, case: FleetCase, played: tuple[Row, ...], bound: float) -> FleetResult:
    first = played[0].totals.bill.usd
    possible, kept = first - bound, first - played[-1].totals.bill.usd
    return FleetResult(
        days=settings.days,
        gpus=sum(site.gpus for site in case.sites),
        rows=tuple(
            LeverResult(
                row.name,
                row.totals,
                row.totals.bill.usd,
                1.0 - row.totals.bill.usd / first if first else 0.0,
                row.played.plans,
                row.played.late_plans,
                row.played.gap_frac,
            )
            for row in played
        ),
        bound_usd=bound,
        kept_frac=kept / possible if possible > 0 else None,
        same_tokens=same_tokens(played),
    )
