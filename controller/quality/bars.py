"""Which pools and instances are barred from serving: by evidence, or by an operator. Pure.

Every canary counts for its instance and for its pool. Where the pool's evidence suffices the whole pool is barred, and
else the one instance that answers nonsense. Both come back after a number of canaries in a row that agree, or by
the operator's word; a bar that an operator set is lifted by an operator only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.model.fleet import Site
from controller.model.observation import Barred
from controller.quality.answers import Comparison
from controller.quality.evidence import Rule, Tally, weighed
from router.contract import InstanceId, PoolId

BY_CANARY = "canary"
BY_OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Change:
    """A bar that was set or lifted.

    Attributes:
        barred: the bar.
        is_set: False where it was lifted.
        reason: why, for the log and the ledger.
    """

    barred: Barred
    is_set: bool
    reason: str


@dataclass(slots=True)
class _Case:
    """One pool or instance.

    Attributes:
        in_a_row: canaries that agreed since the last that did not.
    """

    evidence: float = 0.0
    in_a_row: int = 0
    tally: Tally = field(default_factory=Tally)


class Bars:
    """The cases of a fleet, and who is barred.

    Args:
        rule: when to bar and readmit.
        site: whose pools and instances may be barred.
        canaries_per_s: the pace, for the bound on false alarms.
    """

    def __init__(self, rule: Rule, site: Site, canaries_per_s: float) -> None:
        self._rule = rule
        self._alarm_at = rule.alarm_at(canaries_per_s)
        self._pool_of: dict[InstanceId, PoolId] = {}
        self._cases: dict[str, _Case] = {}
        self._barred: dict[str, Barred] = {}
        self.follow(site)

    def follow(self, site: Site) -> None:
        """Go by the instances there are; what was known of one that is gone goes with it, its bar too."""
        pool_of = {instance.instance_id: pool.pool_id for pool in site.pools for instance in pool.instances}
        names: tuple[str, ...] = (*(pool.pool_id for pool in site.pools), *pool_of)
        self._cases = {name: self._cases.get(name) or _Case() for name in names}
        self._barred = {name: bar for name, bar in self._barred.items() if name in names}
        self._pool_of = pool_of

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that may be barred."""
        return tuple(self._cases)

    def knows(self, instance_id: InstanceId) -> bool:
        """Whether there is such an instance."""
        return instance_id in self._pool_of

    @property
    def barred(self) -> tuple[Barred, ...]:
        """All bars, by name."""
        return tuple(bar for _, bar in sorted(self._barred.items()))

    def is_barred(self, instance_id: InstanceId) -> bool:
        """Whether an instance may not serve, by its own bar or its pool's."""
        return instance_id in self._barred or self._pool_of[instance_id] in self._barred

    def suspicion(self, instance_id: InstanceId) -> float:
        """How near to an alarm an instance or its pool is, 0..1 and more, on a logarithmic scale."""
        return max(self.own_suspicion(instance_id), self.own_suspicion(self._pool_of[instance_id]))

    def own_suspicion(self, name: str) -> float:
        """The same of one pool or one instance alone."""
        return math.log1p(self._cases[name].evidence) / math.log1p(self._alarm_at)

    def tally(self, name: str) -> Tally:
        """Canaries of a pool or an instance.

        Raises:
            KeyError: there is none of that name.
        """
        return self._cases[name].tally

    def take(
        self, instance_id: InstanceId, compared: Comparison, *, floor_frac: float, now_s: float, may_bar: bool = True
    ) -> tuple[Change, ...]:
        """Count a canary; the bars that it sets or lifts.

        What an instance that is barred alone answers is no evidence about its pool.

        Args:
            instance_id: whom it asked.
            compared: its answer beside the reference's.
            floor_frac: least share of agreement of a sound pool, known before it was sent.
            now_s: wall clock.
            may_bar: whether an alarm bars now; else it does once one may.
        """
        pool_id = self._pool_of[instance_id]
        names = (instance_id,) if instance_id in self._barred else (pool_id, instance_id)
        changes: list[Change] = []
        for name in names:
            case = self._cases[name]
            case.tally.add(compared)
            case.in_a_row = case.in_a_row + 1 if compared.agrees else 0
            case.evidence = weighed(case.evidence, self._rule, agrees=compared.agrees, floor_frac=floor_frac)
            bar = self._barred.get(name)
            if bar is not None and bar.source == BY_CANARY and case.in_a_row >= self._rule.readmit_after:
                changes.append(self._lift(name, f"{case.in_a_row} canaries in a row agreed with the reference"))
            elif may_bar and bar is None and pool_id not in self._barred and case.evidence >= self._alarm_at:
                changes.append(self._bar(name, BY_CANARY, _told(case), now_s))
                if name == instance_id:
                    self._cases[pool_id].evidence = 0.0  # it came from this instance, as it sufficed for it alone
        return tuple(changes)

    def bar(self, name: str, reason: str, now_s: float) -> Change | None:
        """Bar by an operator's word; None where it is barred so already.

        Raises:
            KeyError: there is no pool and no instance of that name.
        """
        if name not in self._cases:
            raise KeyError(name)
        if name in self._barred and self._barred[name].source == BY_OPERATOR:
            return None
        return self._bar(name, BY_OPERATOR, reason, now_s)

    def lift(self, name: str, reason: str) -> Change | None:
        """Lift a bar by an operator's word; None where there is none. What was counted against it is forgotten."""
        return self._lift(name, reason) if name in self._barred else None

    def forgive(self, names: Iterable[str]) -> None:
        """Forget the evidence against pools and instances; bars stay."""
        for name in names:
            self._cases[name].evidence = 0.0

    def restore(self, bars: tuple[Barred, ...]) -> None:
        """Take up bars of a former process; `follow` drops those of names that are gone."""
        self._barred |= {bar.name: bar for bar in bars}

    def _bar(self, name: str, source: str, reason: str, now_s: float) -> Change:
        bar = Barred(name, name not in self._pool_of, source, reason, now_s)
        self._barred[name] = bar
        return Change(bar, is_set=True, reason=reason)

    def _lift(self, name: str, reason: str) -> Change:
        bar = self._barred.pop(name)
        for each, pool_id in self._pool_of.items():
            if name in (each, pool_id):  # what is let in again must not fall to what was charged before
                self._cases[each].evidence = self._cases[pool_id].evidence = 0.0
        return Change(bar, is_set=False, reason=reason)


def _told(case: _Case) -> str:
    counted = case.tally.share
    agreed = round((counted.frac or 0.0) * counted.count)
    return f"answers are not the reference's: {agreed} of the last {counted.count} canaries agreed"
