"""A fleet whose instances are pods: each start makes one of a new name and address, and a stopped one is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.lifecycle.roster import PLACE
from controller.model.fleet import Instance, Pool, PoolRoster, Site
from controller.model.observation import InstanceState, Observation
from controller.model.plan import Verb
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
