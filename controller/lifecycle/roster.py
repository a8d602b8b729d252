"""The site as it is now: discovered instances in the place of listed ones, and places where others may be started.

A place is an instance that does not exist: it is off, and starting it makes a pod of whatever name. So the plan counts
in the same way where instances sleep and stop, and where they come and go. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controller.model.fleet import Instance, Pool, PoolRoster, Site
from controller.model.observation import InstanceObservation, InstanceState, Observation
from router.contract import InstanceId, PoolId

PLACE = "~"
"""Between a pool's name and the number of a place: no pod's name has it."""


def is_place(instance: Instance) -> bool:
    """Whether it is a place in which an instance may be started, and none that exists."""
    return not instance.url


def with_instances(site: Site, rosters: tuple[PoolRoster, ...]) -> Site:
    """The site with the instances that were told, in the order of their names.

    Args:
        site: as configured.
        rosters: of pools whose instances are discovered; pools that list theirs stay as they are.
    """
    told = {roster.pool_id: sorted(roster.instances, key=lambda each: each.instance_id) for roster in rosters}
    return _with(site, {pool_id: tuple(there) for pool_id, there in told.items()})


def site_now(site: Site, rosters: tuple[PoolRoster, ...]) -> Site:
    """The same with the places that are left.

    A pool whose instances are discovered and were never told has none, and no places: what exists is not known.
    """
    there = with_instances(site, rosters)
    told = {roster.pool_id for roster in rosters}
    return _with(there, {pool.pool_id: _with_places(pool) for pool in there.pools if pool.pool_id in told})


def _with(site: Site, instances: Mapping[PoolId, tuple[Instance, ...]]) -> Site:
    if not instances:
        return site
    pools = (replace(pool, instances=instances.get(pool.pool_id, pool.instances)) for pool in site.pools)
    return replace(site, pools=tuple(pools))


def _with_places(pool: Pool) -> tuple[Instance, ...]:
    vacant = range(max(0, pool.places - len(pool.instances)))
    return (*pool.instances, *(Instance(InstanceId(f"{pool.pool_id}{PLACE}{n}"), "") for n in vacant))


def with_places(site: Site, observation: Observation) -> Observation:
    """The observation with the places of a site, each off since it was first looked at."""
    now_s = observation.now_s
    places = tuple(
        InstanceObservation(each.instance_id, pool.pool_id, InstanceState.OFF, now_s, now_s)
        for pool in site.pools
        for each in pool.instances
        if is_place(each)
    )
    return replace(observation, instances=(*observation.instances, *places)) if places else observation
