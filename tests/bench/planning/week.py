"""A week of a large fleet: planned every hour, dispatched every quarter of one, as `wattroute simulate` plays it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.study.fleet.levers import reference
from controller.study.fleet.make_case import make_case
from controller.study.fleet.play import fixed_fleet, play, play_fixed
from controller.study.fleet.settings import FleetSettings
from controller.study.registry import STUDIES
from controller.study.scenario_file import load
from tests.bench.planning.measure import THREADS

SCENARIO = "paper-dr"
GOAL_S = 120.0
HEAD = (
    "| a week of | GPUs | pools | plans | dispatches | wall, s | processor, s | goal | |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Week:
    """One row of the study with every lever."""

    gpus: int
    pools: int
    plans: int
    late_plans: int
    dispatches: int
    wall_s: float
    cpu_s: float


def measure_week() -> Week:
    """Play the scenario with every lever, responses against what the fixed fleet draws."""
    settings = load(SCENARIO, STUDIES).settings
    if not isinstance(settings, FleetSettings):
        raise TypeError(f"{SCENARIO} is no fleet")
    case = make_case(settings)
    plain = reference(case)
    drawn_w = play_fixed(plain, fixed_fleet(plain), lambda _: None).import_w
    planner = CvxpyPlanner(time.monotonic, SolverOptions(gap_frac=settings.plan.gap_frac, threads=THREADS))
    began_s, cpu_s = time.perf_counter(), time.process_time()
    played = play(case.enrolled(drawn_w), planner, None, lambda _: None)
    return Week(
        gpus=sum(site.gpus for site in case.sites),
        pools=len(case.pools),
        plans=played.plans,
        late_plans=played.late_plans,
        dispatches=case.steps,
        wall_s=time.perf_counter() - began_s,
        cpu_s=time.process_time() - cpu_s,
    )


def week_table(week: Week) -> str:
    """The measurement as Markdown."""
    verdict = "met" if week.wall_s <= GOAL_S and not week.late_plans else "MISSED"
    cells = (
        SCENARIO,
        f"{week.gpus:,}",
        f"{week.pools}",
        f"{week.plans} ({week.late_plans} not in time)",
        f"{week.dispatches}",
        f"{week.wall_s:.0f}",
        f"{week.cpu_s:.0f}",
        f"≤ {GOAL_S:g} s",
        verdict,
    )
    return HEAD + f"| {' | '.join(cells)} |\n"
