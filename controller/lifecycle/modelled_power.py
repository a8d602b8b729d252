"""Power as modelled: what the engines counted since the tick before, by their pools' curves.

There are two rules. By `instance_power_w` an instance that works now and then draws P0 for a share of the time: that is
what is drawn. By `charged_power_w` it draws P0 all the time that it has any work, as the plan has it: that is the most
that it draws, since it may work throughout a second later. What is shown, and whether a limit is exceeded, goes by the
first. What is added to a plan's prediction, compared with it or left free for instances to come goes by the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from controller.energy.load_power import Arrivals, Load, busy_frac, is_never_empty, power_while_w
from controller.lifecycle.memory import Phase, TokenCount
from controller.lifecycle.power_loop import at_meter_w
from controller.lifecycle.views import View
from controller.model.fleet import Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.model.perf import PoolCurves
from router.contract import InstanceId


def count_tokens(views: tuple[View, ...], before: tuple[TokenCount, ...]) -> tuple[TokenCount, ...]:
    """Token rates of each engine from its counters; a counter that went back gives no rate."""
    last = {count.instance_id: count for count in before}
    out = []
    for view in views:
        old = last.get(view.instance.instance_id)
        seen = view.seen
        if seen is None:
            continue
        if old is not None and seen.observed_at_s <= old.observed_at_s:
            out.append(old)
            continue
        out.append(_counted(old, seen))
    return tuple(out)


def _counted(old: TokenCount | None, seen: InstanceObservation) -> TokenCount:
    """The counters as seen, with the rates since the count before where they went on."""
    count = TokenCount(
        seen.instance_id, seen.observed_at_s, seen.generation_tokens, seen.prompt_tokens, steps=seen.steps
    )
    if old is None or seen.generation_tokens < old.generation_tokens:
        return replace(count, running=(seen.running, seen.running))
    span_s = seen.observed_at_s - old.observed_at_s
    counts_steps = seen.steps is not None and old.steps is not None and seen.steps >= old.steps
    return replace(
        count,
        generation_per_s=(seen.generation_tokens - old.generation_tokens) / span_s,
        prompt_per_s=max(0.0, seen.prompt_tokens - old.prompt_tokens) / span_s,
        steps_per_s=((seen.steps or 0.0) - (old.steps or 0.0)) / span_s if counts_steps else None,
        running=(old.running[1], seen.running),
    )


def instance_power_w(view: View, count: TokenCount | None) -> float:
    """Power of one instance by the model, for its observed state and what it counted.

    One that served only now and then draws P0 for a share of the time.
    """
    if view.state is not InstanceState.SERVING or not _works(view, count):
        return _resting_w(view)
    return power_while_w(view.pool.curves, _load(count), _busy_frac(view.pool.curves, count))


def charged_power_w(view: View, count: TokenCount | None) -> float:
    """Power of one instance by the plan's rule, P0 and its tokens while it has work: the most that it draws."""
    if view.state is not InstanceState.SERVING or not _works(view, count):
        return _resting_w(view)
    return power_while_w(view.pool.curves, _load(count), 1.0)


def _works(view: View, count: TokenCount | None) -> bool:
    return view.seen is not None and (view.seen.running > 0 or (count is not None and count.generation_per_s > 0.0))


def _resting_w(view: View) -> float:
    is_unproven = view.seen is not None and view.seen.is_unproven
    return view.pool.curves.idle_w if is_unproven else resting_w(view.pool.curves, view.state)


def resting_w(curves: PoolCurves, state: InstanceState) -> float:
    """Power of an instance that computes nothing in a state."""
    return {InstanceState.SLEEPING: curves.sleeping_w, InstanceState.OFF: curves.off_w}.get(state, curves.idle_w)


def _load(count: TokenCount | None) -> Load:
    return Load(0.0) if count is None else Load(count.generation_per_s, count.prompt_per_s, count.steps_per_s)


def _busy_frac(curves: PoolCurves, count: TokenCount | None) -> float:
    """Share of the time in which an instance with work computed.

    All of it where that is not counted, and while a prompt is computed of which nothing is counted yet. Without a count
    of steps it is what the tokens would take one after the other, which is no less than the truth.
    """
    if count is None or (count.generation_per_s == 0.0 and min(count.running) > 0):
        return 1.0
    if is_never_empty(count.generation_per_s, count.steps_per_s, count.running):
        return 1.0
    return busy_frac(curves, _load(count), Arrivals.ONE_BY_ONE)


def modelled_power_w(site: Site, views: tuple[View, ...], counts: tuple[TokenCount, ...]) -> float:
    """Power at the meter by the model, as the instances are now."""
    return _at_meter_w(site, views, counts, instance_power_w)


def charged_at_meter_w(site: Site, views: tuple[View, ...], counts: tuple[TokenCount, ...]) -> float:
    """Power at the meter by the plan's rule, as the instances are now."""
    return _at_meter_w(site, views, counts, charged_power_w)


def _at_meter_w(
    site: Site,
    views: tuple[View, ...],
    counts: tuple[TokenCount, ...],
    power_w: Callable[[View, TokenCount | None], float],
) -> float:
    by_id: dict[InstanceId, TokenCount] = {count.instance_id: count for count in counts}
    return at_meter_w(site, sum(power_w(view, by_id.get(view.instance.instance_id)) for view in views))


def draining_power_w(site: Site, views: tuple[View, ...], counts: tuple[TokenCount, ...]) -> float:
    """Power at the meter that goes once the draining instances are asleep: what they draw now, beyond that.

    No more than P0, as the energy of the tokens goes where the requests go; less where one computes now and then.
    """
    by_id: dict[InstanceId, TokenCount] = {count.instance_id: count for count in counts}
    return site.pue * sum(
        max(0.0, min(view.pool.curves.p0_w, _now_w(view, by_id)) - view.pool.curves.sleeping_w)
        for view in views
        if view.state is InstanceState.SERVING and view.intent.phase in (Phase.DRAIN, Phase.SLEEP)
    )


def _now_w(view: View, counts: Mapping[InstanceId, TokenCount]) -> float:
    return instance_power_w(view, counts.get(view.instance.instance_id))
