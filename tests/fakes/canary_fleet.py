"""Canaries against instances that agree with the reference by chance: events are counted, no clock runs."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from controller.model.fleet import Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.quality.answers import Answer
from controller.quality.bars import Bars, Change
from controller.quality.canary import Canaries, Errand, Pause
from controller.quality.evidence import Rule
from router.contract import InstanceId, PoolId


class CanaryFleet:
    """A site whose instances answer rightly with a probability each.

    Attributes:
        agreement: of each instance; may be changed.
        asleep: instances that do not serve.
        sent: canaries so far.
    """

    def __init__(self, site: Site, seed: int, rule: Rule | None = None) -> None:
        self.rule = rule or Rule()
        self.pool_of: dict[InstanceId, PoolId] = {
            instance.instance_id: pool.pool_id for pool in site.pools for instance in pool.instances
        }
        self.bars = Bars(self.rule, site, 1.0)
        self._rng = Random(seed)
        self.canaries = Canaries(site, self.bars, self.rule, self._rng)
        self.agreement: dict[str, float] = dict.fromkeys(self.pool_of, 1.0)
        self.asleep: set[str] = set()
        self.sent = 0
        self.asked: list[str] = []

    def observed(self) -> list[InstanceObservation]:
        """The instances as the controller sees them."""
        return [
            InstanceObservation(
                name, pool, InstanceState.SLEEPING if name in self.asleep else InstanceState.SERVING, 0.0, 0.0
            )
            for name, pool in self.pool_of.items()
        ]

    def send(self) -> tuple[Change, ...] | Pause:
        """One canary."""
        errand = self.canaries.next(self.observed())
        if isinstance(errand, Pause):
            return errand
        self.sent += 1
        self.asked.append(errand.target)
        reference = None if errand.reference is None else self._answer(errand, errand.reference)
        _, changes = self.canaries.take(errand, self._answer(errand, errand.target), reference, float(self.sent))
        return changes

    def until_change(self, most: int) -> tuple[Change, int] | None:
        """The first bar set or lifted, and how many canaries it took; None if none was within `most`."""
        for count in range(1, most + 1):
            changes = self.send()
            if isinstance(changes, tuple) and changes:
                return changes[0], count
        return None

    def run(self, canaries: int) -> list[Change]:
        """Many canaries; all bars set or lifted."""
        out: list[Change] = []
        for _ in range(canaries):
            changes = self.send()
            if isinstance(changes, tuple):
                out += changes
        return out

    def _answer(self, errand: Errand, instance: str) -> Answer:
        right = f"right {errand.prompt.request}"
        text = right if self._rng.random() < self.agreement[instance] else f"nonsense {self._rng.random()}"
        return Answer(text, tuple(text.split()))


def set_pool(fleet: CanaryFleet, site: Site, agreement: Mapping[str, float]) -> None:
    """Give all instances of pools their agreement."""
    for pool in site.pools:
        for instance in pool.instances:
            if pool.pool_id in agreement:
                fleet.agreement[instance.instance_id] = agreement[pool.pool_id]
