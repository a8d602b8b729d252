"""The life cycle of instances: which to drain, put to sleep, wake, start or stop so that the plan comes true.

An instance is put to sleep in two steps, so that no token is lost: a table lists it as draining, and once every router
obeys that table and the engine is seen empty after that, it is commanded to sleep.

Where instances of one pool replace those of another, they are exchanged one at a time: while both serve, both draw P0,
and a site that is about to curtail must not draw more first. Under a limit in force the exchange is made at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.roster import number_of
from controller.lifecycle.targets import Targets
from controller.lifecycle.views import View
from controller.model.fleet import Pool
from controller.model.observation import InstanceState, Missing, RouterObservation
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId

_NOTHING = 1e-9
"""Relative difference of capacities that counts as none."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What bears on the steps beside the plan.

    Attributes:
        allowed: [r][k], pools each class may use.
        holding: why no instance may be drained now; None where they may.
        break_first: over a limit that outranks the classes: drain at once, before replacements serve.
        are_astray: routers obey tables of somebody else: what they report acknowledges none of this controller's.
        must_fall: more is drawn than called limits that outrank the classes allow, ramps left aside.
        headroom_w: power that may still be added at the meter, None without a limit that forbids more.
        pue: facility power over IT power.
        grace_s: an engine must be seen empty this long after the routers obey the drain.
        retry_s: a command without effect is given again after this time.
        called: an event is in force.
        released_s: instances that serve since then or longer have no least up-time: an event began, or more is drawn
            than the limit allows.
        capacity_tokens_per_s: of one instance of each pool, at the classes' latency targets.
        doubts_w: how far P0 of an instance of each pool may lie from its curves; () for no doubt.
    """

    now_s: float
    router: RouterObservation | Missing
    allowed: tuple[tuple[bool, ...], ...]
    holding: str | None
    break_first: bool
    called: bool
    released_s: float
    headroom_w: float | None
    pue: float
    grace_s: float
    retry_s: float
    capacity_tokens_per_s: tuple[float, ...]
    doubts_w: tuple[float, ...] = ()
    must_fall: bool = False
    are_astray: bool = False


@dataclass(frozen=True, slots=True)
class Steered:
    """Instances with their new intents, commands to give now, and what has been set going, for the operator.

    Attributes:
        lacking_w: power for want of which an instance stays down although none is to go; 0 where none does.
        drained_s: how long each drain took that ends now.
    """

    views: tuple[View, ...]
    commands: tuple[InstanceCommand, ...]
    wanted: tuple[InstanceCommand, ...]
    lacking_w: float = 0.0
    drained_s: tuple[float, ...] = ()


def steer(views: tuple[View, ...], targets: Targets, situation: Situation) -> Steered:
    """Take the next step of each instance's life cycle towards the plan; those of pools that are held take none."""
    work = _Work(list(views), situation)
    for index in (i for i, view in enumerate(views) if not view.pool.is_held):
        work.finish_drain(index, targets)
    for k in work.pools:
        work.raise_pool(k, targets)
    for k in work.pools:
        work.retry_wakes(k)
    for k in sorted(work.pools, key=work.power_of, reverse=True):
        work.lower_pool(k, targets)
        work.stop_sleepers(k, targets)
    return Steered(tuple(work.views), tuple(work.commands), tuple(work.wanted), work.lacking_w, tuple(work.drained_s))


class _Work:
    """The steps of one tick, each seeing what those before it have done."""

    def __init__(self, views: list[View], situation: Situation) -> None:
        self.views = views
        self.at = situation
        self.pools = sorted({view.pool_index for view in views if not view.pool.is_held})
        self.headroom_w = situation.headroom_w
        # Nothing can come before something has gone: whoever is to go does not wait for whoever replaces it.
        self.lacks_headroom = False
        self.lacking_w = 0.0
        self.commands: list[InstanceCommand] = []
        self.wanted: list[InstanceCommand] = []
        self.drained_s: list[float] = []

    def power_of(self, k: int) -> float:
        """P0 of a pool's instance: the hungriest are drained first."""
        return max((view.pool.curves.p0_w for view in self.views if view.pool_index == k), default=0.0)

    def of(self, k: int, *phases: Phase) -> list[int]:
        """A pool's reachable instances in these phases."""
        return [
            i
            for i, view in enumerate(self.views)
            if view.pool_index == k and view.intent.phase in phases and view.state is not InstanceState.UNREACHABLE
        ]

    def count_on(self, k: int) -> int:
        """Instances that serve or are coming."""
        return len(self.of(k, Phase.SERVE, Phase.WAKE))

    def capacity(self, *phases: Phase) -> float:
        """Output tokens/s of the instances in these phases."""
        return sum(rate * len(self.of(k, *phases)) for k, rate in enumerate(self.at.capacity_tokens_per_s))

    def planned_capacity(self, targets: Targets) -> float:
        """Output tokens/s of the instances that the plan wants serving."""
        return sum(rate * on for rate, on in zip(self.at.capacity_tokens_per_s, targets.on, strict=True))

    def may_exchange(self, targets: Targets) -> bool:
        """Whether one more instance may come up: the fleet has to grow, or no exchange is under way."""
        if self.at.called or self.capacity(Phase.SERVE, Phase.WAKE) < self.planned_capacity(targets) * (1 - _NOTHING):
            return True
        return not any(self.of(k, Phase.WAKE, Phase.DRAIN) for k in self.pools)

    def set_phase(self, index: int, phase: Phase, commanded_s: float | None = None) -> None:
        """Begin a phase."""
        view = self.views[index]
        intent = Intent(view.instance.instance_id, phase, self.at.now_s, commanded_s=commanded_s)
        self.views[index] = replace(view, intent=intent)

    def command(self, verb: Verb, index: int, reason: str) -> None:
        """Give a command now."""
        self.commands.append(InstanceCommand(verb, self._id(index), reason))

    def want(self, verb: Verb, index: int, reason: str) -> None:
        """Tell what has been set going."""
        self.wanted.append(InstanceCommand(verb, self._id(index), reason))

    def _id(self, index: int) -> InstanceId:
        return self.views[index].instance.instance_id

    def finish_drain(self, index: int, targets: Targets) -> None:
        """Note the routers' acknowledgement; command sleep once the engine is seen empty after it.

        Empty means that the engine says so and that no router has a request under way to it: one that was chosen
        before the drain may not have reached the engine yet.
        """
        view, router, now_s = self.views[index], self.at.router, self.at.now_s
        intent = view.intent
        if intent.phase is not Phase.DRAIN or intent.sequence is None or isinstance(router, Missing):
            return
        if self.at.are_astray or router.acknowledged_sequence < intent.sequence:
            return
        if intent.acknowledged_s is None:
            intent = replace(intent, acknowledged_s=router.observed_at_s)
            self.views[index] = view = replace(view, intent=intent)
        if intent.acknowledged_s is None or view.seen is None or view.busy > 0:
            return
        if view.seen.observed_at_s < intent.acknowledged_s + self.at.grace_s:
            return
        if dict(router.in_flight).get(view.instance.instance_id, 0) > 0 or self.stays_drained(view, targets):
            return
        phase = Phase.SLEEP if view.pool.can_sleep else Phase.OFF
        self.views[index] = replace(view, intent=replace(intent, phase=phase, since_s=now_s, commanded_s=now_s))
        self.drained_s.append(now_s - intent.since_s)
        if not view.pool.rests_untold:
            self.command(_way_down(view.pool), index, f"drained in {now_s - intent.since_s:.0f} s")

    def stays_drained(self, view: View, targets: Targets) -> bool:
        """Whether one that could go is wanted again, or Kubernetes would take a pod that starts in its place."""
        k, pool = view.pool_index, view.pool
        if self.count_on(k) < targets.on[k]:
            return True
        if not pool.places or pool.can_sleep or pool.in_order or pool.lets_go or self.at.must_fall:
            return False
        return any(self.at.now_s - self.views[i].intent.since_s < pool.curves.start_s for i in self.of(k, Phase.WAKE))

    def raise_pool(self, k: int, targets: Targets) -> None:
        """Bring more instances to serving: the draining first, then sleepers, then those that are off."""
        target = targets.on[k]
        for index in sorted(self.of(k, Phase.DRAIN), key=lambda i: -self.views[i].busy):
            if self.count_on(k) >= target:
                return
            self.set_phase(index, Phase.SERVE)
        for state, verb in ((InstanceState.SLEEPING, Verb.WAKE), (InstanceState.OFF, Verb.START)):
            for index in self.of(k, Phase.SLEEP, Phase.OFF):
                if self.views[index].state is not state:
                    continue
                if self.count_on(k) >= target or not self.may_exchange(targets):
                    return
                if not (self.take_headroom(index) or self.replaces_last(k, targets)):
                    self.lacks_headroom = True
                    self.lacking_w = 0.0 if self.anyone_goes(targets) else self.added_w(index)
                    break
                self.bring_up(verb, index, f"the plan wants {target} serving")

    def bring_up(self, verb: Verb, index: int, reason: str) -> None:
        """Wake or start an instance; one whose engine never slept serves at once."""
        view = self.views[index]
        self.want(verb, index, reason)
        if view.pool.rests_awake and view.state is InstanceState.SLEEPING:
            self.views[index] = replace(view, state=InstanceState.SERVING)
            self.set_phase(index, Phase.SERVE)
            return
        self.set_phase(index, Phase.WAKE, commanded_s=self.at.now_s)
        self.command(verb, index, reason)

    def take_headroom(self, index: int) -> bool:
        """Whether an instance may be added under the limit; if so its power is taken from what is left."""
        if self.headroom_w is None:
            return True
        added_w = self.added_w(index)
        if added_w > self.headroom_w:
            return False
        self.headroom_w -= added_w
        return True

    def added_w(self, index: int) -> float:
        """Power at the meter by which an instance draws more when it serves, at the upper end of its curves' doubt."""
        view = self.views[index]
        resting_w = view.pool.curves.sleeping_w if view.state is InstanceState.SLEEPING else view.pool.curves.off_w
        doubt_w = self.at.doubts_w[view.pool_index] if self.at.doubts_w else 0.0
        return self.at.pue * (view.pool.curves.p0_w + doubt_w - resting_w)

    def anyone_goes(self, targets: Targets) -> bool:
        """Whether some instance is to go, or is going."""
        return any(self.of(k, Phase.DRAIN) or self.count_on(k) > targets.on[k] for k in self.pools)

    def anyone_comes(self) -> bool:
        """Whether some instance is on its way up: within the limit it serves before another goes for want of room."""
        return any(view.intent.phase is Phase.WAKE and not view.pool.is_held for view in self.views)

    def replaces_last(self, k: int, targets: Targets) -> bool:
        """Whether pool k must come up before a class's last pool may go, so that its requests have somewhere to go.

        Such an instance is let up over the limit for the short time until those it replaces are empty.
        """
        if self.of(k, Phase.WAKE):
            return False
        stays = {view.pool_index for view in self.views if view.serves and targets.on[view.pool_index] > 0}
        return any(
            allowed[k] and not any(may and j in stays for j, may in enumerate(allowed)) for allowed in self.at.allowed
        )

    def retry_wakes(self, k: int) -> None:
        """Give a wake or start again that had no effect."""
        for index in self.of(k, Phase.WAKE):
            view = self.views[index]
            said_s = view.intent.commanded_s
            if said_s is not None and self.at.now_s - said_s < self.at.retry_s:
                continue
            if view.state in (InstanceState.SLEEPING, InstanceState.OFF):
                verb = Verb.WAKE if view.state is InstanceState.SLEEPING else Verb.START
                self.views[index] = replace(view, intent=replace(view.intent, commanded_s=self.at.now_s))
                self.command(verb, index, "the command before had no effect")

    def lower_pool(self, k: int, targets: Targets) -> None:
        """Begin to drain what the plan does not want, the emptiest first, or those that can go."""
        surplus = self.count_on(k) - targets.on[k]
        if surplus <= 0 or self.at.holding is not None:
            return
        serving = [i for i in self.of(k, Phase.SERVE) if self.views[i].state is InstanceState.SERVING]
        for index in sorted(serving, key=lambda i: (_turn(self.views[i]), self.views[i].busy, i))[:surplus]:
            may_wait = self.anyone_comes() and not self.at.must_fall
            goes_first = self.at.break_first or (self.lacks_headroom and not may_wait)
            if not goes_first and self.falls_short_without(k, targets):
                return
            if self.may_drain(index, targets):
                self.set_phase(index, Phase.DRAIN)
                self.want(_way_down(self.views[index].pool), index, f"the plan wants {targets.on[k]} serving")

    def falls_short_without(self, k: int, targets: Targets) -> bool:
        """Whether one instance of pool k less would leave less than planned, because its replacement does not serve."""
        left = self.capacity(Phase.SERVE) - self.at.capacity_tokens_per_s[k]
        return left < self.planned_capacity(targets) * (1 - _NOTHING)

    def may_drain(self, index: int, targets: Targets) -> bool:
        """Whether the instance has been up long enough and leaves no class that the plan serves without a pool."""
        view = self.views[index]
        up_s = self.at.now_s - view.intent.since_s
        if up_s < view.pool.min_up_s and view.intent.since_s > self.at.released_s:
            return False
        left = {other.pool_index for i, other in enumerate(self.views) if i != index and other.serves}
        for allowed in self.at.allowed:
            pools = {k for k, may in enumerate(allowed) if may}
            planned = sum(targets.on[k] for k in pools)
            if view.pool_index in pools and planned > 0 and not pools & left:
                return False
        return True

    def stop_sleepers(self, k: int, targets: Targets) -> None:
        """Stop sleepers whose GPUs the plan wants free."""
        sleepers = [i for i in self.of(k, Phase.SLEEP) if not self.views[i].is_let_go]
        asleep = [i for i in sleepers if self.views[i].state is InstanceState.SLEEPING]
        loaded = len(self.of(k, Phase.SERVE, Phase.WAKE, Phase.DRAIN)) + len(sleepers)
        asleep.sort(key=lambda i: _turn(self.views[i]))
        for index in asleep[: max(0, loaded - max(targets.loaded[k], targets.on[k]))]:
            if not self.begin_stop(index):
                continue
            reason = f"the plan wants {targets.loaded[k]} loaded"
            self.command(Verb.STOP, index, reason)
            self.want(Verb.STOP, index, reason)

    def begin_stop(self, index: int) -> bool:
        """Whether a stop is to be told now; a sleeper that is let go sleeps on until an autoscaler takes it away."""
        view, now_s = self.views[index], self.at.now_s
        if not view.pool.lets_go:
            self.set_phase(index, Phase.OFF, commanded_s=now_s)
        elif view.intent.commanded_s is not None and now_s - view.intent.commanded_s < self.at.retry_s:
            return False
        else:
            self.views[index] = replace(view, intent=replace(view.intent, commanded_s=now_s))
        return True


def _turn(view: View) -> int:
    """The less, the sooner it goes, where the one of the highest number must."""
    return -number_of(view.instance.instance_id) if view.pool.in_order else 0


def _way_down(pool: Pool) -> Verb:
    """What is done to a drained instance."""
    return Verb.SLEEP if pool.can_sleep else Verb.STOP
