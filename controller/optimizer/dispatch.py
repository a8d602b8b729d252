"""The fast plan: token rates of the present interval over instances that are what they are, as a linear program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cvxpy as cp

from controller.model.plan import Horizon, Plan, PlanOrigin
from controller.optimizer.data import ProblemData, ResponseData, SiteData
from controller.optimizer.outcome import assemble
from controller.optimizer.parameters import Parameters
from controller.optimizer.program import solve
from controller.optimizer.rounding import flows, rates
from controller.optimizer.solving import Compiled, SolverOptions, compile_problem, program_of
from controller.optimizer.terms import (
    assets,
    capacity,
    energy,
    headroom,
    limit,
    power,
    quality,
    redundancy,
    response,
    serve,
)
from controller.optimizer.values import energy_bill, set_values
from controller.optimizer.variables import Shape, Variables

CONSTRAINTS = (
    serve.serve_demand,
    capacity.engine_time,
    headroom.headroom_bound,
    redundancy.spare_capacity,
    power.site_power,
    assets.power_balance,
    assets.battery_power,
    assets.stored_energy,
    assets.final_charge,
    power.power_ramp,
    power.power_drop,
    limit.site_limit,
    response.reduction_bound,
    quality.quality_budget,
)
COSTS = (
    energy.energy_cost,
    assets.asset_cost,
    response.response_reward,
    quality.quality_cost,
    headroom.headroom_cost,
    redundancy.redundancy_cost,
    power.ramp_cost,
    serve.unserved_cost,
    limit.limit_cost,
)


def first_interval(data: ProblemData, on: tuple[int, ...]) -> ProblemData:
    """The problem of the first interval, with `on[k]` instances that all serve; the others keep their state.

    One interval cannot tell what waiting is worth: nobody waits beyond it, and a battery keeps what it holds but for a
    promise.
    """
    pools = tuple(
        replace(
            pool,
            on_now=count,
            sleeping_now=max(0, min(pool.sleeping_now, pool.instances - count)),
            late=(0.0,),
            locked=(0,),
            min_on=0,
            max_on=pool.instances,
            min_up_steps=1,
            exchange_usd=(),
        )
        for pool, count in zip(data.pools, on, strict=True)
    )
    classes = tuple(
        replace(
            cls,
            demand_tokens_per_s=(cls.asked_tokens_per_s,),
            quality_budget_frac=cls.quality_budget_frac[:1],
            defer_steps=0,
            backlog_tokens_per_s=(),
            quality_window=False,
        )
        for cls in data.classes
    )
    return replace(
        data,
        horizon=Horizon(data.horizon.start_s, data.horizon.dt_s, 1),
        pools=pools,
        classes=classes,
        sites=tuple(_first_of_site(site) for site in data.sites),
    )


def _first_of_site(site: SiteData) -> SiteData:
    response, battery = site.response, site.battery
    if response is not None:
        response = ResponseData(response.baseline_w[:1], response.reward_usd_per_mwh[:1], response.most_w[:1])
    return replace(
        site,
        limit_w=site.limit_w[:1],
        price_usd_per_mwh=site.price_usd_per_mwh[:1],
        carbon_kg_per_mwh=site.carbon_kg_per_mwh[:1],
        pv_w=site.pv_w[:1],
        battery=None if battery is None else replace(battery, final_wh=battery.soc_wh),
        response=response,
    )


def compile_dispatch(shape: Shape) -> Compiled:
    """State the program of a shape with one interval.

    Raises:
        SolverError: it is not a disciplined parametrized program.
    """
    v, p = Variables.of(shape, whole=False), Parameters.of(shape)
    constraints = [constraint for term in CONSTRAINTS for constraint in term(v, p, shape)]
    fixed = [v.on == p.on_now, v.sleeping == p.sleeping_now, cp.sum(v.wakes) == 0, cp.sum(v.starts) == 0]
    return compile_problem(shape, v, p, sum(cost(v, p, shape) for cost in COSTS), [*constraints, *fixed])


def solve_dispatch(
    compiled: Compiled, data: ProblemData, options: SolverOptions, *, monotonic_s: Callable[[], float]
) -> Plan:
    """The best token rates for the first interval's problem, as made by `first_interval`.

    Raises:
        TimedOut: none were found.
        SolverError: there is no usable answer for another reason.
    """
    set_values(compiled.parameters, data, compiled.shape)
    began_s = monotonic_s()
    program = program_of(compiled)
    found = solve(program, options.search(energy_bill(data), options.lp_time_limit_s), whole=False)
    return assemble(
        data,
        PlanOrigin.DISPATCH,
        tuple((pool.on_now,) for pool in data.pools),
        tuple((pool.sleeping_now,) for pool in data.pools),
        rates(found.x[program.columns["tokens"]], compiled.shape),
        flows=flows(found.x, program.columns),
        gap_frac=0.0,
        solve_s=monotonic_s() - began_s,
    )
