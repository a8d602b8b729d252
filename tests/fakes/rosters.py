"""Rosters that a test tells by hand, as discovery would."""

from __future__ import annotations

from controller.model.fleet import Instance, PoolRoster
from router.contract import InstanceId, PoolId


def roster(pool_id: str, told_s: float = 1000.0, **url_by_name: str) -> PoolRoster:
    """Instances by name and address."""
    found = tuple(Instance(InstanceId(name), url) for name, url in url_by_name.items())
    return PoolRoster(PoolId(pool_id), found, told_s)


class Told:
    """A source that knows what it was told last."""

    def __init__(self, *rosters: PoolRoster) -> None:
        self.rosters = rosters
