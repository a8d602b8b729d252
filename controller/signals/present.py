"""The site with the instances that exist by now, for whoever asks or commands them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from controller.lifecycle.roster import with_instances
from controller.model.fleet import Instance, PoolRoster, Site


class RosterSource(Protocol):
    """Finds the instances of pools that do not list theirs."""

    @property
    def rosters(self) -> tuple[PoolRoster, ...]:
        """Of the pools that were told at least once, as last told."""


class Present:
    """A site whose discovered instances are those of now; without a source, the configured ones for ever."""

    def __init__(self, configured: Site, source: RosterSource | None = None) -> None:
        self._configured, self._source = configured, source
        self._known: tuple[tuple[PoolRoster, ...], Site] = ((), configured)
        self._uuids: dict[str, tuple[str, ...]] = {}

    def take_owners(self, owners: Mapping[str, str]) -> None:
        """Take which pods have which GPUs: (UUID, name) pairs. The GPUs of others stay as they were told."""
        uuids: dict[str, list[str]] = {}
        for uuid, name in sorted(owners.items()):
            uuids.setdefault(name, []).append(uuid)
        self._uuids = {name: tuple(of_pod) for name, of_pod in uuids.items()}

    @property
    def rosters(self) -> tuple[PoolRoster, ...]:
        """As an observation tells them, with the GPUs of each instance as far as they are known."""
        if self._source is None:
            return ()
        return tuple(
            replace(
                roster,
                instances=tuple(map(self._with_gpus, roster.instances)),
                starting=tuple(map(self._with_gpus, roster.starting)),
            )
            for roster in self._source.rosters
        )

    def _with_gpus(self, instance: Instance) -> Instance:
        uuids = self._uuids.get(instance.instance_id)
        return instance if uuids is None else replace(instance, gpu_uuids=uuids)

    @property
    def is_whole(self) -> bool:
        """Whether every pool has told its instances at least once."""
        told = {roster.pool_id for roster in self.rosters}
        return all(pool.instances or pool.pool_id in told for pool in self._configured.pools)

    def site(self) -> Site:
        """The site with the instances that exist, and no places."""
        rosters, known = self.rosters, self._known
        if rosters is not known[0] and rosters != known[0]:
            self._known = known = (rosters, with_instances(self._configured, rosters))
        return known[1]
