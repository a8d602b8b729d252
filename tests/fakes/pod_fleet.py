"""A fleet whose instances are pods: each start makes one of a new name and address, and a stopped one is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.lifecycle.roster import PLACE
from controller.model.fleet import Instance, Pool, PoolRoster, Site
from controller.model.observation import InstanceObservation, InstanceState, Observation
from controller.model.plan import InstanceCommand, Verb
from controller.tick import Decision
from router.contract import InstanceId
from tests.fakes.fake_fleet import FakeEngine, FakeFleet


def discovered(site: Site) -> Site:
    """The site as configured where its pools' instances are discovered and as many may exist as it listed."""
    return replace(site, pools=tuple(replace(pool, instances=(), places=len(pool.instances)) for pool in site.pools))


class PodFleet(FakeFleet):
    """See the module's text. Of each pool `on` pods serve at the start."""

    def __init__(self, of: Site, rps: dict[str, float], on: int) -> None:
        super().__init__(of, rps)
        self._made = 0
        first = [pool.instances[:on] for pool in of.pools]
        kept = {instance.instance_id for instances in first for instance in instances}
        self.engines = [engine for engine in self.engines if engine.instance_id in kept]
        self.gone: list[FakeEngine] = []

    def obey(self, decision: Decision) -> None:
        """Make a pod for each place that is to start; take away those that are stopped."""
        pods = []
        for command in decision.commands.instances:
            pool_id, place, _ = command.instance_id.partition(PLACE)
            if not place:
                pods.append(command)
                continue
            assert command.verb is Verb.START
            self._made += 1
            pool = next(pool for pool in self.site.pools if pool.pool_id == pool_id)
            engine = FakeEngine(pool, InstanceId(f"{pool_id}-7d9f-{self._made:05x}"), InstanceState.OFF)
            engine.obey(command, self.now_s)
            self.engines.append(engine)
        commands = replace(decision.commands, instances=tuple(pods))
        super().obey(replace(decision, commands=commands))
        self.gone += [engine for engine in self.engines if engine.state is InstanceState.OFF]
        self.engines = [engine for engine in self.engines if engine.state is not InstanceState.OFF]

    def is_open(self, engine: FakeEngine) -> bool:
        """A pod is ready once it serves, and before that no router sends to it."""
        return engine.state is not InstanceState.STARTING

    def observe(self) -> Observation:
        """What a controller would see now, with the pods there are; those that are not ready are not asked."""
        rosters = tuple(
            PoolRoster(
                pool.pool_id,
                self._told(pool, lambda engine: engine.state is not InstanceState.STARTING),
                self.now_s,
                self._told(pool, lambda engine: engine.state is InstanceState.STARTING),
            )
            for pool in self.site.pools
        )
        whole = super().observe()
        asked = tuple(seen for seen in whole.instances if seen.state is not InstanceState.STARTING)
        return replace(whole, instances=asked, rosters=rosters)

    def _told(self, pool: Pool, holds: Callable[[FakeEngine], bool]) -> tuple[Instance, ...]:
        return tuple(
            Instance(engine.instance_id, f"http://{engine.instance_id}:8000")
            for engine in self.engines
            if engine.pool.pool_id == pool.pool_id and holds(engine)
        )


class FollowedFleet(PodFleet):
    """Pods that are let go, which an autoscaler takes away: it follows what it is told, `late_s` after that fell.

    Which pod it takes is not its choice: one that is marked, else the newest.
    """

    def __init__(self, of: Site, rps: dict[str, float], on: int, late_s: float) -> None:
        super().__init__(of, rps, on)
        self.late_s = late_s
        self.let_go: set[InstanceId] = set()
        self.told: dict[str, list[tuple[float, int]]] = {}
        self.taken_back: list[InstanceId] = []

    def obey(self, decision: Decision) -> None:
        """Mark who is let go; make and take away pods as the autoscaler does."""
        draining = decision.commands.table.draining
        self.taken_back += sorted(self.let_go - set(draining))
        self.let_go &= set(draining)
        self.table = decision.commands.table
        for command in decision.commands.instances:
            assert command.verb in (Verb.SLEEP, Verb.START)
            if command.verb is Verb.SLEEP:
                self.let_go.add(command.instance_id)
        for pool_id, replicas in decision.replicas:
            told = self.told.setdefault(pool_id, [])
            told.append((self.now_s, replicas))
            # As by HPA's stabilisation: the most that was told within that time.
            self._scale(pool_id, max(count for at_s, count in told if at_s >= self.now_s - self.late_s))

    def observe(self) -> Observation:
        """What a controller would see now."""
        whole = super().observe()
        return replace(whole, instances=tuple(map(self._shown, whole.instances)))

    def of(self, pool_id: str) -> list[FakeEngine]:
        """The pods of a pool."""
        return [engine for engine in self.engines if engine.pool.pool_id == pool_id]

    def _shown(self, seen: InstanceObservation) -> InstanceObservation:
        return replace(seen, state=InstanceState.SLEEPING, is_let_go=True) if seen.instance_id in self.let_go else seen

    def _scale(self, pool_id: str, replicas: int) -> None:
        there = self.of(pool_id)
        pool = next(pool for pool in self.site.pools if pool.pool_id == pool_id)
        for _ in range(replicas - len(there)):
            self._made += 1
            made = FakeEngine(pool, InstanceId(f"{pool_id}-7d9f-{self._made:05x}"), InstanceState.OFF)
            made.obey(InstanceCommand(Verb.START, made.instance_id, "the autoscaler"), self.now_s)
            self.engines.append(made)
        for _ in range(len(there) - replicas):
            goes = next((engine for engine in there if engine.instance_id in self.let_go), there[-1])
            goes.lost += len(goes.left)
            there.remove(goes)
            self.engines.remove(goes)
            self.gone.append(goes)
