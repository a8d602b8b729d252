"""Instances as listed in the configuration file. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from router.contract import InstanceId, PoolId
from router.exchange import InstanceSpec
from router.settings import PoolSettings
from router.transport.addresses import parse_engine


def list_instances(pools: Iterable[PoolSettings]) -> tuple[InstanceSpec, ...]:
    """Every instance; the n-th of a pool is called ``POOL-n``, counted from zero."""
    return tuple(_spec(pool, number, url) for pool in pools for number, url in enumerate(pool.instances))


def _spec(pool: PoolSettings, number: int, url: str) -> InstanceSpec:
    return InstanceSpec(
        instance_id=InstanceId(f"{pool.name}-{number}"),
        pool_id=PoolId(pool.name),
        precision=pool.precision,
        address=parse_engine(url).address,
        url=url,
        max_in_flight=pool.max_in_flight,
    )
