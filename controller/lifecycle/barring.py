"""Instances that are left out because their answers are not to be trusted.

An instance that is barred, by itself or with its pool, counts as one that cannot be had: no capacity is planned on it,
its idle power counts, and the table lists it as draining, so that routers send it nothing new, not even what is pinned
to its precision. It is neither put to sleep nor woken, so that canaries can tell when it answers rightly again.

Where a class could then be served by nothing, the rule is to serve it not at all: an answer that is refused is seen and
tried again, one that is wrong is believed. `TickPolicy.serves_barred` turns that round.
"""

from __future__ import annotations

from controller.model.fleet import Site
from controller.model.observation import InstanceState, Observation
from router.contract import InstanceId


def named(site: Site, observation: Observation) -> frozenset[InstanceId]:
    """Instances that are barred, by themselves or with their pools."""
    names = {bar.name for bar in observation.barred}
    return frozenset(
        instance.instance_id
        for pool in site.pools
        for instance in pool.instances
        if instance.instance_id in names or pool.pool_id in names
    )


def left_out(site: Site, observation: Observation, *, serves_barred: bool) -> frozenset[InstanceId]:
    """Instances that are left out.

    Args:
        site: the fleet.
        observation: with the bars.
        serves_barred: whether a class that nothing else can serve is served by what is barred.
    """
    barred = named(site, observation)
    if not barred or not serves_barred:
        return barred
    lost = {seen.instance_id for seen in observation.instances if seen.state is InstanceState.UNREACHABLE}
    spared: set[InstanceId] = set()
    for cls in site.classes:
        usable = {i.instance_id for pool in site.pools if cls.may_use(pool) for i in pool.instances}
        if not usable - barred - lost:
            spared |= usable
    return barred - spared
