"""How many instances of each pool are to exist: for whoever else starts and stops them, such as an autoscaler; pure."""

from __future__ import annotations

import math

from controller.lifecycle.ladder import step_of
from controller.model.fleet import Site
from controller.model.plan import Plan
from router.contract import PoolId


def desired_replicas(site: Site, plan: Plan, now_s: float) -> tuple[tuple[PoolId, int], ...]:
    """Instances that serve or sleep by the plan, the most of now and of the time that a start takes.

    An instance that the plan wants serving once a cold start would be over has to be started now.

    Args:
        site: the fleet, for how long starts take.
        plan: in force, of the same pools in the same order.
        now_s: wall clock.
    """
    step, steps = step_of(plan, now_s), plan.horizon.steps
    desired = []
    for pool, planned in zip(site.pools, plan.pools, strict=True):
        ahead = math.ceil(pool.curves.start_s / plan.horizon.dt_s)
        window = range(step, min(steps, step + ahead + 1))
        desired.append((pool.pool_id, max(planned.on[t] + planned.sleeping[t] for t in window)))
    return tuple(desired)
