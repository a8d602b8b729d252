"""Each instance as it is and as it is wanted: what the engines report, reconciled with what was decided before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.lifecycle.memory import Intent, Phase
from controller.model.fleet import Instance, Pool, Site
from controller.model.observation import InstanceObservation, InstanceState, Observation
from router.contract import InstanceId

_PHASE_OF_STATE = {
    InstanceState.SERVING: Phase.SERVE,
    InstanceState.SLEEPING: Phase.SLEEP,
    InstanceState.WAKING: Phase.WAKE,
    InstanceState.STARTING: Phase.WAKE,
    InstanceState.OFF: Phase.OFF,
    InstanceState.UNREACHABLE: Phase.SERVE,
}


@dataclass(frozen=True, slots=True)
class View:
    """One instance.

    Attributes:
        pool_index: place of its pool in the site.
        state: as observed; unreachable where the report is missing or stale, or the instance is left out; asleep
            where it rests awake.
        seen: the report, None where it is missing or stale, or the instance is left out.
        is_barred: left out because its answers are not to be trusted; see `barring`.
    """

    instance: Instance
    pool: Pool
    pool_index: int
    state: InstanceState
    seen: InstanceObservation | None
    intent: Intent
    is_barred: bool = False

    @property
    def serves(self) -> bool:
        """Takes new requests now."""
        return self.state is InstanceState.SERVING and self.intent.phase is Phase.SERVE

    @property
    def is_on(self) -> bool:
        """Serves, drains, or is on its way to serving."""
        if self.state is InstanceState.UNREACHABLE:
            return False
        return self.intent.phase is Phase.WAKE or (
            self.state is InstanceState.SERVING and self.intent.phase in (Phase.SERVE, Phase.DRAIN)
        )

    @property
    def is_let_go(self) -> bool:
        """Rests without a request, and may be taken away by an autoscaler."""
        is_told = self.seen is not None and self.seen.is_let_go
        return is_told and self.intent.phase is Phase.SLEEP and self.busy == 0

    @property
    def busy(self) -> int:
        """Requests in the engine; 0 where it does not report."""
        return 0 if self.seen is None else self.seen.running + self.seen.waiting


def look(
    site: Site,
    intents: tuple[Intent, ...],
    observation: Observation,
    *,
    stale_s: float,
    retry_s: float,
    barred: frozenset[InstanceId] = frozenset(),
) -> tuple[View, ...]:
    """One view for each configured instance, in the site's order; those that are `barred` count as not to be had."""
    reports = {seen.instance_id: seen for seen in observation.instances}
    before = {intent.instance_id: intent for intent in intents}
    now_s = observation.now_s
    views = []
    for index, pool in enumerate(site.pools):
        for instance in pool.instances:
            seen = reports.get(instance.instance_id)
            is_barred = instance.instance_id in barred
            if seen is not None and (is_barred or now_s - seen.observed_at_s > stale_s):
                seen = None
            old = before.get(instance.instance_id)
            state = _state(pool, old, seen)
            intent = _reconcile(old, instance, state, seen, now_s, retry_s)
            views.append(View(instance, pool, index, state, seen, intent, is_barred))
    return tuple(views)


def serving_by_pool(views: tuple[View, ...], pools: int) -> tuple[int, ...]:
    """[pools] instances of each that take new requests now."""
    counts = [0] * pools
    for view in views:
        counts[view.pool_index] += view.serves
    return tuple(counts)


def natural_intent(view: View, now_s: float) -> Intent:
    """What would be wanted of an instance by its state alone."""
    phase = _PHASE_OF_STATE[view.state]
    if view.intent.phase is phase:
        return replace(view.intent, sequence=None, acknowledged_s=None, commanded_s=None)
    return Intent(view.instance.instance_id, phase, now_s)


def _state(pool: Pool, old: Intent | None, seen: InstanceObservation | None) -> InstanceState:
    """As observed; one that rests awake, drained and without a request, counts as asleep.

    Of those that are let go the report itself says so, once an autoscaler may take them.
    """
    if seen is None:
        return InstanceState.UNREACHABLE
    is_idle = seen.state is InstanceState.SERVING and seen.running + seen.waiting == 0
    rests = pool.rests_untold and old is not None and old.phase is Phase.SLEEP
    return InstanceState.SLEEPING if is_idle and rests else seen.state


def _reconcile(
    old: Intent | None,
    instance: Instance,
    state: InstanceState,
    seen: InstanceObservation | None,
    now_s: float,
    retry_s: float,
) -> Intent:
    """What is wanted, after what has become of it.

    A wish that came true, or was overtaken by what others did to the engine, gives way to the state; a wish whose
    command may still take effect stays.
    """
    natural = _PHASE_OF_STATE[state]
    if old is None:
        since_s = now_s if seen is None else min(now_s, seen.since_s)
        return Intent(instance.instance_id, natural, since_s)
    if state is InstanceState.UNREACHABLE or old.phase is natural:
        return old
    if state is InstanceState.SERVING:
        if old.phase is Phase.DRAIN:
            return old
        if old.phase in (Phase.SLEEP, Phase.OFF) and old.commanded_s is not None:
            # Falling asleep, or being taken away, takes a while; without effect, the drained instance is told again.
            return old if now_s - old.commanded_s < retry_s else replace(old, phase=Phase.DRAIN, commanded_s=None)
    if state in (InstanceState.SLEEPING, InstanceState.OFF) and old.phase is Phase.WAKE:
        return old
    if state is InstanceState.SLEEPING and old.phase is Phase.OFF and old.commanded_s is not None:
        return old if now_s - old.commanded_s < retry_s else Intent(instance.instance_id, natural, now_s)
    if natural is Phase.WAKE:
        return Intent(instance.instance_id, natural, now_s, commanded_s=now_s)
    return Intent(instance.instance_id, natural, now_s)
