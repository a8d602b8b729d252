"""The study `sensitivity`: a fleet with one thing changed at a time, without and with every lever of the plan."""

from __future__ import annotations

from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.study.fleet.case import FleetCase
from controller.study.fleet.levers import reference, rows
from controller.study.fleet.make_case import make_case
from controller.study.fleet.play import fixed_fleet
from controller.study.fleet.run import STUDY as FLEET
from controller.study.fleet.run import same_tokens
from controller.study.fleet.settings import FleetSettings
from controller.study.scenario_file import load
from controller.study.sensitivity.report import report
from controller.study.sensitivity.result import VariationResult
from controller.study.sensitivity.settings import SensitivitySettings
from controller.study.sensitivity.variations import Variation, variations
from controller.study.study import Outcome, Progress, Study


def run(settings: SensitivitySettings, progress: Progress) -> Outcome:
    """Compute the outcome of a scenario.

    Raises:
        ConfigError: the fleet's scenario is absent or wrong, or does not reach as far as the days asked for.
    """
    fleet = load(settings.of, (FLEET,)).settings
    if not isinstance(fleet, FleetSettings):
        raise ConfigError(f"of: {settings.of} is no scenario of the kind fleet")
    if settings.first_day + settings.days > fleet.days:
        raise ConfigError(
            f"first_day, days: {settings.of} has {fleet.days:g} days, {settings.first_day + settings.days:g} are asked "
            "for; choose fewer"
        )
    chosen = variations(fleet, settings.vary)
    cases = [_case(settings, variation) for variation in chosen]
    found = tuple(
        _played(variation, case, _part(progress, number, len(chosen)))
        for number, (variation, case) in enumerate(zip(chosen, cases, strict=True))
    )
    progress(1.0, "done")
    return Outcome({"fleet": fleet.model_dump(mode="json"), "results": found}, report(settings, fleet, found))


STUDY = Study("sensitivity", SensitivitySettings, run)


def _case(settings: SensitivitySettings, variation: Variation) -> FleetCase:
    """The days asked for of a changed fleet.

    Raises:
        ConfigError: the GPUs do not suffice for its fixed fleet.
    """
    whole = make_case(variation.settings)
    first, steps = (round(days * 86_400 / whole.step_s) for days in (settings.first_day, settings.days))
    case = whole.between(first, steps)
    try:
        fixed_fleet(reference(case))
    except ConfigError as error:
        raise ConfigError(f"vary: {_name(variation)}: {error}") from error
    return case


def _name(variation: Variation) -> str:
    return variation.what if variation.value is None else f"{variation.what} {variation.value:g}"


def _played(variation: Variation, case: FleetCase, progress: Progress) -> VariationResult:
    def make_planner() -> CvxpyPlanner:
        return CvxpyPlanner(SystemClock().monotonic_s, SolverOptions(gap_frac=variation.settings.plan.gap_frac))

    name = _name(variation)
    played = rows(case, make_planner, lambda done, _: progress(done, name), all_between=False)
    fixed_usd, usd = played[0].totals.bill.usd, played[-1].totals.bill.usd
    return VariationResult(
        what=variation.what,
        value=variation.value,
        fixed_usd=fixed_usd,
        usd=usd,
        saving_frac=1.0 - usd / fixed_usd if fixed_usd else 0.0,
        same_tokens=same_tokens(played),
        totals=played[-1].totals,
    )


def _part(progress: Progress, number: int, count: int) -> Progress:
    def told(done_frac: float, doing: str) -> None:
        progress((number + done_frac) / count, doing)

    return told
