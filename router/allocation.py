"""Obeys the allocation table in force: the classes' shares of the pools, the instances' caps and who drains. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from router.contract import AllocationTable, ClassId, InstanceId
from router.fleet import Fleet
from router.ladder import Ladder
from router.policy import ClassPolicy
from router.settings import TableSettings
from router.snapshot import TableView

GOING_S = 30.0
"""So long after a table has expired the instances that it drained get nothing new, where there are others: the
controller, which saw them drained by it, may be putting them to sleep at this moment."""


class Allocation:
    """The table in force, and those who go by it.

    Args:
        settings: how long tables hold.
        fleet: whose caps and draining instances the table sets.
        policies: whose weights it sets.

    Attributes:
        ladder: finds which table is in force.
        sequence: of the table obeyed, -1 without one.
    """

    def __init__(self, settings: TableSettings, fleet: Fleet, policies: Mapping[ClassId, ClassPolicy]) -> None:
        self.ladder = Ladder(settings)
        self.sequence = -1
        self._unknown_names = 0
        self._going: frozenset[InstanceId] = frozenset()
        self._gone_at_s = math.inf
        self.follow(fleet, policies)

    def follow(self, fleet: Fleet, policies: Mapping[ClassId, ClassPolicy]) -> None:
        """Set caps and weights of another fleet and other classes from now on."""
        self._fleet = fleet
        self._policies = policies
        self._obey(self.ladder.table)

    def offer(self, table: AllocationTable, now_s: float, ahead_s: float = 0.0) -> bool:
        """Obey a table, unless it is refused; True if it is new."""
        before = self.ladder.table
        is_new = self.ladder.offer(table, now_s, ahead_s)
        if self.ladder.table is not before:
            self._change(before, now_s)
        return is_new

    def drop_expired(self, now_s: float) -> bool:
        """Go by the settings once the table has expired, first without and then with the instances that it drained.

        Returns:
            Whether something has changed.
        """
        last = self.ladder.table
        if self.ladder.drop_expired(now_s):
            self._change(last, now_s)
        elif now_s >= self._gone_at_s:
            self._change(None, now_s)
        else:
            return False
        return True

    def view(self, now_s: float) -> TableView:
        """What is told of it."""
        table = self.ladder.table
        view = TableView(
            self.ladder.state(now_s).value,
            -1,
            refused=dict(self.ladder.refused),
            unknown_names=self._unknown_names,
        )
        if table is not None and now_s < self.ladder.expires_at_s:
            view.sequence = table.sequence
            view.issuer = table.issuer
            view.issued_at_s = table.issued_at_s + self.ladder.ahead_s
            view.expires_at_s = self.ladder.expires_at_s
            view.clock_ahead_s = self.ladder.ahead_s
        return view

    def _change(self, last: AllocationTable | None, now_s: float) -> None:
        """Follow what is in force now, after the last table."""
        self._going, self._gone_at_s = frozenset(), math.inf
        if self.ladder.table is None and last is not None and self._fleet.slots.keys() - set(last.draining):
            self._going, self._gone_at_s = frozenset(last.draining), now_s + GOING_S
        self._obey(self.ladder.table)

    def _obey(self, table: AllocationTable | None) -> None:
        """Follow a table, or the static settings; names the router does not know are counted and left aside."""
        weights = {entry.class_id: entry.pools for entry in table.weights} if table is not None else {}
        unknown = sum(class_id not in self._policies for class_id in weights)
        for class_id, policy in self._policies.items():
            pools = [lane.pool for lane in policy.lanes]
            known = {pool.pool_id for pool in pools}
            told = {entry.pool_id: entry.weight for entry in weights.get(class_id, ())}
            unknown += sum(pool_id not in known for pool_id in told)
            shares = [told.get(pool.pool_id, 0.0) for pool in pools]
            policy.set_weights(shares if any(shares) else [pool.static_weight for pool in pools])
        caps = {cap.instance_id: cap.max_in_flight for cap in table.caps} if table is not None else {}
        draining = frozenset(table.draining) if table is not None else self._going
        unknown += len((caps.keys() | draining) - self._fleet.slots.keys())
        self._fleet.constrain(caps, draining)
        self._unknown_names = unknown
        self.sequence = table.sequence if table is not None else -1
