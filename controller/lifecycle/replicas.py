"""How many instances of each pool are to exist: for whoever else starts and stops them, such as an autoscaler; pure.

Where an autoscaler follows, it is never told less than there are, but for those that are let go: they rest, no router
sends to them, and they are the ones that go first. What it takes away is then one of them, however late it comes.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from controller.lifecycle.ladder import step_of
from controller.lifecycle.roster import is_place, number_of
from controller.lifecycle.views import View
from controller.model.fleet import Pool, Site
from controller.model.plan import Plan, PoolPlan
from router.contract import InstanceId, PoolId


def let_go(views: tuple[View, ...]) -> frozenset[InstanceId]:
    """Instances that an autoscaler may take away."""
    return frozenset(view.instance.instance_id for view in views if view.is_let_go)


def desired_replicas(
    site: Site, plan: Plan, now_s: float, gone: Collection[InstanceId] = ()
) -> tuple[tuple[PoolId, int], ...]:
    """Instances that serve or sleep by the plan, the most of now and of the time that a start takes.

    An instance that the plan wants serving once a cold start would be over has to be started now. Of a pool that is
    held there are to be as many as there are, so that an autoscaler which follows changes nothing. Nothing is said of a
    pool of which no instance is known.

    Args:
        site: the fleet as it is now.
        plan: in force, of the same pools in the same order.
        now_s: wall clock.
        gone: instances that are let go.
    """
    step = step_of(plan, now_s)
    desired = []
    for pool, planned in zip(site.pools, plan.pools, strict=True):
        if not pool.instances:
            continue
        if pool.is_held and pool.places:
            desired.append((pool.pool_id, len(_there(pool))))
            continue
        ahead = math.ceil(pool.curves.start_s / plan.horizon.dt_s)
        window = range(step, min(plan.horizon.steps, step + ahead + 1))
        wanted = max(_loaded(pool, planned, t) for t in window)
        desired.append((pool.pool_id, max(wanted, _least(pool, gone))))
    return tuple(desired)


def _loaded(pool: Pool, planned: PoolPlan, t: int) -> int:
    """Instances to exist in an interval; one that rests awake only waits to be taken away."""
    return planned.on[t] if pool.rests_awake else planned.on[t] + planned.sleeping[t]


def _least(pool: Pool, gone: Collection[InstanceId]) -> int:
    """As many as there are, less those that would go first; 0 where no autoscaler follows."""
    if not pool.places or (pool.may_stop and not pool.lets_go):
        return 0
    there = _there(pool)
    if not pool.in_order:
        return sum(name not in gone for name in there)
    there.sort(key=number_of)
    while there and there[-1] in gone:
        there.pop()
    return len(there)


def _there(pool: Pool) -> list[InstanceId]:
    return [each.instance_id for each in pool.instances if not is_place(each)]
