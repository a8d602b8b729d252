"""Whatever is asked for, there is a plan, and what it cannot keep yields in the declared order.

Sites of the service are drawn with more asked of them than they have: limits, ramps, least instances, classes that
survive a loss, wait or overdraw their quality, photovoltaics, batteries, programmes. Prices are those of the service.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from controller.errors import SolverError
from controller.forecast.demand import Demand
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.problem import Inputs, build
from controller.lifecycle.ramps import Ramps
from controller.lifecycle.views import look
from controller.model.fleet import Site
from controller.model.grid import GridEvent, Precedence
from controller.model.observation import InstanceState
from controller.optimizer.check import PROMISES, violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.optimizer.dispatch import first_interval
from controller.optimizer.greedy import greedy
from controller.optimizer.program import Program, Row, Search, solve
from controller.optimizer.solving import SolverOptions
from controller.settlement.quality_budget import QualityBurn
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.least_cost import searched, stated
from tests.fakes.problems import STEPS, battery_data, response_data

NOW_S = 1000.0
PLANNER = CvxpyPlanner(lambda: 0.0, SolverOptions(gap_frac=0.0))
ORDER = {
    Precedence.CONTRACT: (
        "over_limit_w",
        "over_ramp_w",
        "unserved",
        "over_quality",
        "waiting",
        "over_spare",
        "over_busy",
    ),
    Precedence.QOS: ("unserved", "over_quality", "waiting", "over_spare", "over_busy", "over_limit_w", "over_ramp_w"),
}
"""Slacks from what yields last to what yields first; `waiting` is what is unserved of classes that may wait."""
NUMERIC = {
    "over_limit_w": 1.0,
    "over_ramp_w": 1.0,
    "unserved": 5.0,
    "over_quality": 0.05,
    "waiting": 5.0,
    "over_spare": 5.0,
    "over_busy": 5e-3,
}
"""Sums of a slack that are arithmetic, in its unit; a token counts by its worth over that of the least class."""
BRIEF = settings(max_examples=40, derandomize=True)


@st.composite
def fleets(draw: st.DrawFn) -> Site:
    """Two or three pools of one or two instances, and two classes."""
    whole = site()
    pools = tuple(
        replace(
            pool,
            instances=pool.instances[: draw(st.integers(1, 2))],
            min_on=draw(st.integers(0, 1)),
            min_up_s=draw(st.sampled_from([20.0, 120.0])),
        )
        for pool in whole.pools[draw(st.integers(0, 1)) :]
    )
    classes = tuple(
        replace(
            cls,
            survives_loss=draw(st.booleans()),
            quality_may_overdraw=draw(st.booleans()),
            priority=draw(st.sampled_from([0, 0, -1])),
        )
        for cls in whole.classes[draw(st.integers(0, 1)) :][:2]
    )
    gpus = sum(pool.gpus_per_instance * len(pool.instances) for pool in pools)
    return replace(whole, pools=pools, classes=classes, gpus=gpus)


@st.composite
def bounds(draw: st.DrawFn) -> Ramps:
    """Ramps one or both ways, or none, from a power that may be far from what serves."""
    rate = st.sampled_from([None, 3000.0, 5000.0])
    return Ramps(draw(rate), draw(rate), before_w=draw(st.sampled_from([None, 2000.0, 6000.0, 12_000.0])))


@st.composite
def asked(draw: st.DrawFn, precedence: Precedence) -> ProblemData:
    """A problem as the service states it, with the assets and the waiting that only studies plan."""
    of = draw(fleets())
    fleet = FakeFleet(of, {})
    states = (InstanceState.SERVING, InstanceState.SLEEPING, InstanceState.OFF)
    for engine in fleet.engines:
        engine.state = draw(st.sampled_from(states))
    start_s = draw(st.sampled_from([900.0, 1060.0, 1120.0]))
    limit_w = draw(st.sampled_from([500.0, 2000.0, 4000.0, 7000.0, 1e5]))
    inputs = Inputs(
        now_s=NOW_S,
        views=look(of, (), fleet.observe(), stale_s=15.0, retry_s=30.0),
        demand=tuple(Demand(draw(st.sampled_from([0.0, 300.0, 3000.0, 9000.0])), 1155.0, 211.0) for _ in of.classes),
        burns=tuple(QualityBurn.empty(cls.class_id, 86_400.0) for cls in of.classes),
        events=(GridEvent("e", limit_w, start_s, start_s + draw(st.sampled_from([60.0, 400.0])), 0.0),),
        price_usd_per_mwh=(50.0, draw(st.sampled_from([50.0, 300.0, -20.0])), 50.0),
        carbon_kg_per_mwh=(400.0,) * STEPS,
        bias_w=draw(st.sampled_from([0.0, 500.0])),
        margin_frac=0.03,
        retry_s=30.0,
        ramps=draw(bounds()),
    )
    data = build(of, TickPolicy(steps=STEPS, precedence=precedence), inputs)
    small = battery_data(capacity_wh=200.0, soc_wh=100.0, charge_w=2000.0, discharge_w=1500.0, final_wh=100.0)
    # The service's prices know no reward: one that is small beside the energy's price does not outbid them.
    reward = response_data(baseline_w=(6000.0,) * STEPS, reward_usd_per_mwh=(10.0,) * STEPS)
    [meter] = data.sites
    meter = replace(
        meter,
        battery=draw(st.sampled_from([None, small])),
        pv_w=draw(st.sampled_from([(), (0.0, 900.0, 3000.0)])),
        response=draw(st.sampled_from([None, reward])),
    )
    patient = replace(data.classes[0], defer_steps=1, backlog_tokens_per_s=(draw(st.sampled_from([0.0, 900.0])),))
    first = draw(st.sampled_from([data.classes[0], patient]))
    return replace(data, sites=(meter,), classes=(first, *data.classes[1:]))


def amounts(data: ProblemData, program: Program, slack: str) -> np.ndarray:
    """Coefficients of the sum of a slack in a program's variables, all zero where the program does not have it."""
    of = np.zeros(len(program.cost))
    if slack in ("unserved", "waiting"):
        waits = slack == "waiting"
        worth = np.array([cls.serve_usd_per_token if cls.may_wait is waits else 0.0 for cls in data.classes])
        if worth.any():
            of[program.columns["unserved"]] = (worth / worth[worth > 0.0].min())[:, None]
    elif slack in program.columns:
        of[program.columns[slack].ravel()] = 1.0
    return of


def least_of_each(data: ProblemData, program: Program, x: np.ndarray, order: tuple[str, ...]) -> dict[str, float]:
    """By how much each promise must be broken where those that yield after it are broken no more than in an answer.

    The answer itself is one of those: a draw for which HiGHS finds none, by arithmetic alone, is left out.
    """
    out = {}
    for slack in order:
        of = amounts(data, program, slack)
        if not of.any():
            continue
        try:
            out[slack] = solve(replace(program, cost=of), Search(20.0, abs_gap=1e-4), whole=True).objective
        except SolverError:
            reject()
        columns = np.flatnonzero(of)
        room = 0.01 * NUMERIC[slack] + 1e-6 * float(of @ x)
        program = program.with_rows([Row(columns, -of[columns], -float(of @ x) - room, 0)])
    return out


def with_instances(program: Program, x: np.ndarray) -> Program:
    """The program with the instances of an answer."""
    lower, upper = program.lower.copy(), program.upper.copy()
    for name in ("on", "sleeping"):
        columns = program.columns[name].ravel()
        lower[columns] = upper[columns] = np.rint(x[columns])
    return program.within(lower, upper)


@BRIEF
@given(st.data(), st.sampled_from(list(Precedence)))
def test_there_is_always_a_plan_that_tells_what_it_cannot_keep(data: st.DataObject, precedence: Precedence) -> None:
    problem = data.draw(asked(precedence))
    plan = PLANNER.plan(problem, time_limit_s=5.0)
    assert violations(plan, problem) == ()
    assert {slack.promise for slack in plan.slack} <= set(PROMISES)
    serving = tuple(pool.on_now for pool in problem.pools)
    assert violations(PLANNER.dispatch(problem, serving), first_interval(problem, serving)) == ()
    assert violations(greedy(problem), problem) == ()


@BRIEF
@given(st.data(), st.sampled_from(list(Precedence)))
def test_with_the_plans_instances_no_promise_is_broken_more_than_those_that_yield_after_it_demand(
    data: st.DataObject, precedence: Precedence
) -> None:
    problem = data.draw(asked(precedence))
    program, x = stated(problem), searched(problem).x
    for slack, least in least_of_each(problem, with_instances(program, x), x, ORDER[precedence]).items():
        assert amounts(problem, program, slack) @ x <= least * (1 + 1e-3) + NUMERIC[slack], slack


@BRIEF
@given(st.data(), st.sampled_from(list(Precedence)))
def test_with_any_instances_no_promise_is_broken_that_could_be_kept_by_those_that_yield_before_it(
    data: st.DataObject, precedence: Precedence
) -> None:
    problem = data.draw(asked(precedence))
    program, x = stated(problem), searched(problem).x
    for slack, least in least_of_each(problem, program, x, ORDER[precedence]).items():
        if least <= 0.01 * NUMERIC[slack]:
            assert amounts(problem, program, slack) @ x <= NUMERIC[slack], slack
