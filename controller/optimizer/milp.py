"""The slow plan: instances and token rates over the horizon, as a mixed-integer program."""

from __future__ import annotations

from collections.abc import Callable

from controller.model.plan import Plan, PlanOrigin
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import assemble
from controller.optimizer.rounding import rates, whole
from controller.optimizer.solving import Compiled, SolverOptions, compile_problem, solve
from controller.optimizer.terms import capacity, energy, headroom, limit, occupancy, power, quality, serve, switching
from controller.optimizer.values import energy_bill, set_values
from controller.optimizer.variables import Parameters, Shape, Variables

CONSTRAINTS = (
    serve.serve_demand,
    capacity.engine_time,
    headroom.headroom_bound,
    occupancy.instance_bounds,
    occupancy.gpu_count,
    switching.transitions,
    switching.least_up_time,
    switching.decision_times,
    power.site_power,
    power.power_ramp,
    limit.site_limit,
    quality.quality_budget,
)
COSTS = (
    energy.energy_cost,
    quality.quality_cost,
    headroom.headroom_cost,
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
    solved = solve(compiled, options, bill=energy_bill(data), time_limit_s=time_limit_s, monotonic_s=monotonic_s)
    v, shape = compiled.variables, compiled.shape
    return assemble(
        data,
        PlanOrigin.MILP,
        whole("on", v.on.value),
        whole("sleeping", v.sleeping.value),
        rates(v.tokens.value, shape),
        gap_frac=solved.gap_frac,
        solve_s=solved.solve_s,
    )
