"""Settings with the instances that discovery has found, as if they were listed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from router.discovery.endpoint import Endpoint
from router.settings import InstanceSettings, PoolSettings, RouterFile
from router.transport.addresses import parse_engine, shown


@dataclass(frozen=True, slots=True)
class Merged:
    """Settings to go by.

    Attributes:
        settings: with the instances of every pool; a pool of which none is known has none.
        left_out: by pool, what was found and cannot be used, each with the reason.
    """

    settings: RouterFile
    left_out: Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class _Taken:
    names: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)


def merge(settings: RouterFile, found: Mapping[str, tuple[Endpoint, ...]]) -> Merged:
    """Settings of the file with what was found for the pools that have discovery.

    An instance is called by its pod. Where another instance has that name already - a pod may have engines at two
    ports, and namespaces may have pods of one name - it is POD:PORT, and else its address. An address that another
    pool has is left to that one.
    """
    taken = _Taken()
    for pool in settings.pools:
        if pool.discovery is None:
            taken.names.update(pool.names())
            taken.addresses.update(shown(*parse_engine(each.url).address) for each in pool.instances)
    pools: list[PoolSettings] = []
    left_out: dict[str, tuple[str, ...]] = {}
    for pool in settings.pools:
        if pool.discovery is None:
            pools.append(pool)
            continue
        instances, reasons = _instances(pool.discovery.scheme, found.get(pool.name, ()), taken)
        pools.append(pool.model_copy(update={"instances": instances}))
        if reasons:
            left_out[pool.name] = reasons
    return Merged(settings.model_copy(update={"pools": tuple(pools)}), left_out)


def without_found(settings: RouterFile) -> RouterFile:
    """What the file says."""
    pools = tuple(p if p.discovery is None else p.model_copy(update={"instances": ()}) for p in settings.pools)
    return settings.model_copy(update={"pools": pools})


def _instances(
    scheme: str, endpoints: tuple[Endpoint, ...], taken: _Taken
) -> tuple[tuple[InstanceSettings, ...], tuple[str, ...]]:
    instances: list[InstanceSettings] = []
    reasons: list[str] = []
    for endpoint in endpoints:
        address = endpoint.address
        if address in taken.addresses:
            reasons.append(f"{address} is an instance of another pool already")
            continue
        names = (endpoint.name, f"{endpoint.name}:{endpoint.port}") if endpoint.name else ()
        name = next((name for name in (*names, address) if name not in taken.names), None)
        try:
            instances.append(InstanceSettings(name=name, url=f"{scheme}://{address}"))
        except ValueError as error:
            reasons.append(f"{address} cannot be used: {str(error).splitlines()[-1].strip():.200}")
            continue
        taken.addresses.add(address)
        taken.names.update(() if name is None else (name,))
    return tuple(instances), tuple(reasons)
