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


def place_of(instance_id: InstanceId) -> tuple[PoolId, int] | None:
    """Pool and number of a place; None where it is the name of an instance that exists."""
    pool_id, mark, number = instance_id.partition(PLACE)
    return (PoolId(pool_id), int(number)) if mark and number.isdigit() else None


def number_of(instance_id: InstanceId) -> int:
    """The number at the end of a pod's name, by which a StatefulSet counts; 0 where it has none."""
    number = instance_id.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


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
    """The same with those that are starting, and the places that are left.

    A pool whose instances are discovered and were never told has none, and no places: what exists is not known.
    """
    there = with_instances(site, rosters)
    starting = {roster.pool_id: roster.starting for roster in rosters}
    pools = (pool for pool in there.pools if pool.pool_id in starting)
    return _with(there, {pool.pool_id: _with_others(pool, starting[pool.pool_id]) for pool in pools})


def _with(site: Site, instances: Mapping[PoolId, tuple[Instance, ...]]) -> Site:
    if not instances:
        return site
    pools = (replace(pool, instances=instances.get(pool.pool_id, pool.instances)) for pool in site.pools)
    return replace(site, pools=tuple(pools))


def _with_others(pool: Pool, starting: tuple[Instance, ...]) -> tuple[Instance, ...]:
    known = {instance.instance_id for instance in pool.instances}
    there = (*pool.instances, *(each for each in starting if each.instance_id not in known))
    # Counted on from those there are: the first place, where one was told to start, goes when a pod has come.
    vacant = range(len(there), pool.places)
    return (*there, *(Instance(InstanceId(f"{pool.pool_id}{PLACE}{n}"), "") for n in vacant))


def with_places(site: Site, observation: Observation) -> Observation:
    """The observation with the places of a site, which are off, and with what is starting, which was not asked."""
    now_s = observation.now_s
    starting = {each.instance_id for roster in observation.rosters for each in roster.starting}
    asked = {each.instance_id for each in observation.instances}
    others = tuple(
        InstanceObservation(each.instance_id, pool.pool_id, _state_of(each), now_s, now_s)
        for pool in site.pools
        for each in pool.instances
        if is_place(each) or (each.instance_id in starting and each.instance_id not in asked)
    )
    return replace(observation, instances=(*observation.instances, *others)) if others else observation


def _state_of(unasked: Instance) -> InstanceState:
    return InstanceState.OFF if is_place(unasked) else InstanceState.STARTING
