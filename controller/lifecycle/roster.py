"""The site as it is now: discovered instances in the place of listed ones, and places where others may be started.

A place is an instance that does not exist: it is off, and starting it makes a pod of whatever name. So the plan counts
in the same way where instances sleep and stop, and where they come and go. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from controller.model.fleet import Instance, Pool, Site
from controller.model.observation import InstanceObservation, InstanceState, Observation
from controller.model.roster import PoolRoster
from router.contract import InstanceId, PoolId

PLACE = "~"
"""Between a pool's name and the number of a place: no pod's name has it."""


def is_place(instance: Instance) -> bool:
    """Whether it is a place in which an instance may be started, and none that exists."""
    return not instance.url


def site_now(site: Site, rosters: tuple[PoolRoster, ...]) -> Site:
    """The site with the instances that were told, in the order of their names, and the places that are left.

    A pool whose instances are discovered and were never told has none, and no places: what exists is not known.

    Args:
        site: as configured.
        rosters: of pools whose instances are discovered; pools that list theirs stay as they are.
    """
    told = {roster.pool_id: roster for roster in rosters}
    if not told:
        return site
    return replace(site, pools=tuple(_pool_now(pool, told.get(pool.pool_id)) for pool in site.pools))


def _pool_now(pool: Pool, roster: PoolRoster | None) -> Pool:
    if roster is None:
        return pool
    there = tuple(sorted(roster.instances, key=lambda each: each.instance_id))
    vacant = range(max(0, pool.places - len(there)))
    return replace(pool, instances=(*there, *(Instance(_place(pool.pool_id, n), "") for n in vacant)))


def _place(pool_id: PoolId, number: int) -> InstanceId:
    return InstanceId(f"{pool_id}{PLACE}{number}")


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
