"""The site with the instances that exist by now, for whoever asks or commands them."""

from __future__ import annotations

from typing import Protocol

from controller.lifecycle.roster import with_instances
from controller.model.fleet import PoolRoster, Site


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

    @property
    def rosters(self) -> tuple[PoolRoster, ...]:
        """As an observation tells them."""
        return () if self._source is None else self._source.rosters

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
