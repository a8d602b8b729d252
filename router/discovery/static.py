"""Instances as settings list them, those that were found included. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from router.contract import InstanceId, PoolId
from router.exchange import InstanceSpec
from router.settings import InstanceSettings, PoolSettings
from router.transport.addresses import parse_engine


def list_instances(pools: Iterable[PoolSettings]) -> tuple[InstanceSpec, ...]:
    """Every instance; one without a name is called ``POOL-n`` by its place in the pool, counted from zero."""
    return tuple(
        _spec(pool, name, each) for pool in pools for name, each in zip(pool.names(), pool.instances, strict=True)
    )


def _spec(pool: PoolSettings, name: str, each: InstanceSettings) -> InstanceSpec:
    return InstanceSpec(
        instance_id=InstanceId(name),
        pool_id=PoolId(pool.name),
        precision=pool.precision,
        address=parse_engine(each.url).address,
        url=each.url,
        max_in_flight=pool.max_in_flight,
        is_named=each.name is not None,
    )
