"""The last plan as a place to search: shifted to a problem's intervals, and where it stands in the program."""

from __future__ import annotations

import numpy as np

from controller.model.plan import Plan
from controller.optimizer.data import Earlier, ProblemData
from controller.optimizer.program import Program


def earlier_of(data: ProblemData, last: Plan) -> Earlier | None:
    """The last plan's instances over a problem's intervals, its last interval repeated.

    None where it is of other pools or another length of interval, or ends before the problem begins.
    """
    ahead_s, dt_s = data.horizon.start_s - last.horizon.start_s, data.horizon.dt_s
    is_same = tuple(pool.pool_id for pool in last.pools) == tuple(pool.pool_id for pool in data.pools)
    if not is_same or last.horizon.dt_s != dt_s or not 0 <= ahead_s < last.horizon.steps * dt_s:
        return None
    first = int(ahead_s // dt_s)
    steps = [min(first + t, last.horizon.steps - 1) for t in range(data.horizon.steps)]
    return Earlier(
        tuple(tuple(pool.on[t] for t in steps) for pool in last.pools),
        tuple(tuple(pool.sleeping[t] for t in steps) for pool in last.pools),
    )


def place_of(earlier: Earlier | None, program: Program) -> np.ndarray | None:
    """(n,) values of an earlier plan's instances in a program, NaN elsewhere; None where there is none."""
    if earlier is None:
        return None
    place = np.full(len(program.cost), np.nan)
    place[program.columns["on"]] = earlier.on
    place[program.columns["sleeping"]] = earlier.sleeping
    return place
