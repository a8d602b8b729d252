"""The slow plan: instances and token rates over the horizon, as a mixed-integer program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.model.plan import Plan, PlanOrigin
from controller.optimizer.data import ProblemData
from controller.optimizer.earlier import place_of
from controller.optimizer.groups import Covering
from controller.optimizer.other_solvers import solve_with
from controller.optimizer.outcome import assemble
from controller.optimizer.parameters import Parameters
from controller.optimizer.reduction import reduced
from controller.optimizer.rounding import flows, rates, whole
from controller.optimizer.search import search_whole
from controller.optimizer.solver_name import SolverName
from controller.optimizer.solving import Compiled, SolverOptions, compile_problem, program_of
from controller.optimizer.terms import (
    assets,
    capacity,
    deferral,
    energy,
    headroom,
    limit,
    occupancy,
    power,
    quality,
    redundancy,
    response,
    serve,
    switching,
)
from controller.optimizer.values import energy_bill, set_values
from controller.optimizer.variables import Shape, Variables
from controller.optimizer.whole_fleet import WholeFleet

CONSTRAINTS = (
    serve.serve_demand,
    deferral.deadlines,
    capacity.engine_time,
    headroom.headroom_bound,
    redundancy.spare_capacity,
    occupancy.instance_bounds,
    occupancy.gpu_count,
    switching.transitions,
    switching.least_up_time,
    switching.decision_times,
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
    quality.quality_window,
)
COSTS = (
    energy.energy_cost,
    assets.asset_cost,
    response.response_reward,
    quality.quality_cost,
    headroom.headroom_cost,
    redundancy.redundancy_cost,
    switching.switching_cost,
    power.ramp_cost,
    serve.unserved_cost,
    limit.limit_cost,
)


def compile_milp(shape: Shape) -> Compiled:
    """State the program of a shape.

    Raises:
        SolverError: it is not a disciplined parametrized program.
    """
    v, p = Variables.of(shape), Parameters.of(shape)
    constraints = [constraint for term in CONSTRAINTS for constraint in term(v, p, shape)]
    return compile_problem(shape, v, p, sum(cost(v, p, shape) for cost in COSTS), constraints)


def solve_milp(
    compiled: Compiled,
    data: ProblemData,
    options: SolverOptions,
    *,
    time_limit_s: float,
    monotonic_s: Callable[[], float],
) -> Plan:
    """The best plan found within the time limit.

    Raises:
        TimedOut: none was found.
        SolverError: there is no usable answer for another reason.
    """
    set_values(compiled.parameters, data, compiled.shape)
    began_s = monotonic_s()
    program = reduced(program_of(compiled))
    search = replace(options.search(energy_bill(data), time_limit_s), place=place_of(data.earlier, program))
    if options.solver is SolverName.HIGHS:
        found = search_whole(program, Covering(data), search, monotonic_s, WholeFleet(data))
    else:
        found = solve_with(options.solver, program, search)
    on, sleeping, tokens = (found.x[program.columns[name]] for name in ("on", "sleeping", "tokens"))
    return assemble(
        data,
        PlanOrigin.MILP,
        whole("on", on),
        whole("sleeping", sleeping),
        rates(tokens, compiled.shape),
        flows=flows(found.x, program.columns),
        gap_frac=found.gap_frac,
        solve_s=monotonic_s() - began_s,
    )
