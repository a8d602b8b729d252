"""How fast the site's power may change, and from what the first interval of a plan departs.

What was drawn one interval ago is told in the plan's own model: the instances then decided and the tokens then
dispatched. A meter differs from that by what the correction follows, which is the same on both sides of the step and
is added as it is now. Instances are planned for more than the present demand: that margin, as it was then, is no rise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.lifecycle.memory import Memory, Phase, TokenCount
from controller.lifecycle.modelled_power import draining_power_w
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.targets import Targets
from controller.lifecycle.views import View, serving_by_pool
from controller.model.fleet import Pool, Site
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import rates_of
from controller.settlement.baseline import PowerHistory


@dataclass(frozen=True, slots=True)
class Ramps:
    """Bounds on the steps of the site's power.

    Attributes:
        up_w, down_w: largest rise, fall, from one interval to the next; None for no bound.
        before_w: power one interval ago by the plan's model, without the correction; None where it is not known.
        margin_w: what the plan counted then beyond the dispatch, its demand being above the present one.
        fallbacks: (what took the place of what was asked for, why), each.
    """

    up_w: float | None = None
    down_w: float | None = None
    before_w: float | None = None
    margin_w: float = 0.0
    fallbacks: tuple[tuple[str, str], ...] = ()

    @property
    def bind(self) -> bool:
        """Whether any step is bound."""
        return self.up_w is not None or self.down_w is not None


def ramps(site: Site, policy: TickPolicy, memory: Memory, now_s: float) -> Ramps:
    """The bounds in force.

    Instances come and go whole: a bound below the step of one would keep it from ever changing its state, so that the
    step of the largest takes its place.
    """
    up_w, down_w = (
        None if rate is None else rate * policy.step_s for rate in (policy.ramp_up_w_per_s, policy.ramp_down_w_per_s)
    )
    if up_w is None and down_w is None:
        return Ramps()
    least_w = max(step_w(site, pool) for pool in site.pools)
    fallbacks = [
        (
            "one instance",
            f"the {name} of {asked_w:.0f} W in {policy.step_s:g} s is less than the {least_w:.0f} W of one instance",
        )
        for name, asked_w in (("ramp up", up_w), ("ramp down", down_w))
        if asked_w is not None and asked_w < least_w
    ]
    before_w = _before_w(memory.predicted, now_s, policy)
    if before_w is None:
        reason = f"what was drawn {policy.step_s:g} s ago is not known"
        fallbacks.append(("first interval unbound", reason))
    return Ramps(
        up_w=None if up_w is None else max(up_w, least_w),
        down_w=None if down_w is None else max(down_w, least_w),
        before_w=before_w,
        margin_w=_before_w(memory.margins, now_s, policy) or 0.0,
        fallbacks=tuple(fallbacks),
    )


def _before_w(history: PowerHistory, now_s: float, policy: TickPolicy) -> float | None:
    """The last sample that is an interval old, unless it is staler than a reading may be."""
    ended_s = now_s - policy.step_s
    known = [watts for time_s, watts in history.samples if ended_s - policy.reading_stale_s <= time_s <= ended_s]
    return known[-1] if known else None


@dataclass(frozen=True, slots=True)
class Decided:
    """What a tick has decided, for the ramps of the next ones.

    Attributes:
        data: the problem that instances are planned for.
        present: the problem that was dispatched.
        dispatch: its plan.
        rising_w: power of instances on their way up that is no part of it.
    """

    data: ProblemData
    present: ProblemData
    dispatch: Plan
    rising_w: float


def remembered(memory: Memory, policy: TickPolicy, decided: Decided) -> Memory:
    """The memory with the power of what was decided, as far back as the next ticks ask for."""
    [site] = decided.data.sites
    if not site.has_ramp:
        return memory
    now_s, reach_s = decided.data.horizon.start_s, policy.step_s + 2.0 * policy.reading_stale_s
    predicted_w = decided.dispatch.import_w[0] - site.bias_w + decided.rising_w
    return replace(
        memory,
        predicted=memory.predicted.with_sample(now_s, predicted_w, reach_s),
        margins=memory.margins.with_sample(now_s, _margin_w(decided), reach_s),
    )


def step_w(site: Site, pool: Pool) -> float:
    """Power at the meter that an instance takes more when it serves than when it rests."""
    curves = pool.curves
    return site.pue * (curves.p0_w - min(curves.sleeping_w, curves.off_w))


def coming_w(site: Site, views: tuple[View, ...], targets: Targets) -> float:
    """Power at the meter of the instances on their way up that is not part of a dispatch, W.

    Less what the instances draw that they replace, which serve until then. Never negative.
    """
    waking = (view for view in views if view.intent.phase is Phase.WAKE)
    waking_w = sum(step_w(site, site.pools[view.pool_index]) for view in waking)
    return max(0.0, waking_w - _surplus_w(site, views, targets))


def leaving_w(site: Site, views: tuple[View, ...], counts: tuple[TokenCount, ...], targets: Targets) -> float:
    """Power at the meter of the instances that are about to go, W: those that drain, or serve beyond the targets."""
    return draining_power_w(site, views, counts) + _surplus_w(site, views, targets)


def _surplus_w(site: Site, views: tuple[View, ...], targets: Targets) -> float:
    """Power at the meter of the instances that serve beyond the targets, W."""
    serving = serving_by_pool(views, len(site.pools))
    return sum(
        step_w(site, pool) * max(0, count - wanted)
        for pool, count, wanted in zip(site.pools, serving, targets.on, strict=True)
    )


def _margin_w(decided: Decided) -> float:
    """Power at the meter of the tokens by which the first interval's demand is planned above the present one, W.

    A token takes what it takes in the dispatch, on average over the class's pools.
    """
    data, rates, watts = decided.data, rates_of(decided.dispatch), 0.0
    [site] = data.sites
    for r, (cls, present) in enumerate(zip(data.classes, decided.present.classes, strict=True)):
        joules = [j for j, may in zip(data.j_per_token[r], data.allowed[r], strict=True) if may]
        served = sum(cell[0] for cell in rates[r])
        used_w = sum(j * cell[0] for j, cell in zip(data.j_per_token[r], rates[r], strict=True))
        each_j = used_w / served if served > 0 else min(joules, default=0.0)
        watts += each_j * max(0.0, cls.demand_tokens_per_s[0] - present.demand_tokens_per_s[0])
    return site.pue * watts


def departing_higher(data: ProblemData, by_w: float) -> ProblemData:
    """The problem whose first interval departs from a power higher by so much, where that power is known."""
    sites = tuple(
        site if site.drawn_before_w is None else replace(site, drawn_before_w=max(0.0, site.drawn_before_w + by_w))
        for site in data.sites
    )
    return replace(data, sites=sites)


def steps_to_cross(site: Site, bounds: Ramps, steps: int) -> int:
    """Intervals of a horizon over which a step beyond the ramp is felt: until the whole site has caught up."""
    slowest_w = min((bound for bound in (bounds.up_w, bounds.down_w) if bound is not None), default=math.inf)
    whole_w = sum(len(pool.instances) * step_w(site, pool) for pool in site.pools)
    return max(1, min(steps, math.ceil(whole_w / slowest_w))) if slowest_w > 0 else steps
