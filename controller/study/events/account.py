"""What one event came to, as figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.settlement.response import time_to_share_s
from controller.study.events.delivery import KEPT_FRAC, delivery_of
from controller.study.events.fleets import MARGIN_FRAC
from controller.study.events.floor import Verdict
from controller.study.events.part import Run
from controller.study.events.promises import SETTLED_S, promises_of
from controller.units import J_PER_KWH


@dataclass(frozen=True, slots=True)
class EventFigures:
    """One event.

    Attributes:
        profiles: instances and curves of each pool.
        form: of commitment.
        depth_frac: deepest cut drawn.
        cut_frac: what the lowest limit came to, below the baseline.
        load_frac: busiest settlement interval over the most that the fleet serves as promised.
        baseline_kw: mean of the time before the preparation, by the simulated meter.
        limit_kw: lowest limit.
        floor_kw: least draw with the classes above `flex` served as promised, at the busiest settlement interval.
        idle_kw: least draw with no token served.
        verdict: by the stated criterion, of the stretch that is hardest.
        intervals, over: settlement intervals after the ramp; those whose mean is above the limit.
        worst_over_frac: highest of them over its limit, as a share; 0 where none is over.
        instants, instants_over: the same for single ticks.
        over_frac: mean of what is above the limit, as a share of it.
        tracking_frac: mean distance from the limit, as a share of it, over the intervals in which work waited for
            power; None where there was none.
        control_frac: mean distance from the draw that was set, as a share of the limit, over all intervals.
        performance_min, performance_mean: delivered over committed, of the settlement intervals; None where the limit
            was not below the baseline.
        below_commitment: settlement intervals with less than 1.
        missing_kwh, committed_kwh: energy committed and not delivered, and committed.
        to_90_s, to_full_s: from the start until 90 % of the cut was reached, and the limit; None for never.
        raises_in_ramp, raises_after: actions that raised the power above the limit.
        actions: decisions in force.
        asked_tokens, lost_tokens, dropped_tokens: output tokens of classes above `flex`, from the call's start to
            twenty minutes after its end: asked for, cut off, and waiting longer than the router lets them.
        dropped_before_tokens, asked_before_tokens: the same before the notice.
        flex_late_tokens: output tokens of `flex` that wait at the end of the call.
        overdrawn: classes whose mean quality loss over the run is above their budget.
        foreseen: promises that the plan told to be broken before the first of them was, or within two decisions of the
            notice.
        undeclared: promises broken that no plan had told before, or within two decisions of the notice.
        rebound_frac: highest tick of the twenty minutes after the end over the baseline, less 1.
        late_plans: searches that were ended by the clock.
    """

    number: int
    profiles: tuple[str, ...]
    form: str
    depth_frac: float
    cut_frac: float
    notice_s: float
    length_s: float
    ramp_s: float
    stretches: int
    load_frac: float
    baseline_kw: float
    limit_kw: float
    floor_kw: float | None
    idle_kw: float
    verdict: str
    intervals: int
    over: int
    worst_over_frac: float
    instants: int
    instants_over: int
    over_frac: float
    tracking_frac: float | None
    control_frac: float
    performance_min: float | None
    performance_mean: float | None
    below_commitment: int
    missing_kwh: float
    committed_kwh: float
    to_90_s: float | None
    to_full_s: float | None
    raises_in_ramp: int
    raises_after: int
    actions: int
    asked_tokens: float
    lost_tokens: float
    dropped_tokens: float
    dropped_before_tokens: float
    asked_before_tokens: float
    flex_late_tokens: float
    overdrawn: tuple[str, ...]
    foreseen: tuple[str, ...]
    undeclared: tuple[str, ...]
    rebound_frac: float
    late_plans: int


def figures_of(run: Run, settlement_interval_s: float) -> EventFigures:
    """The account of a played event.

    Raises:
        ValueError: the call came to no limit.
    """
    part = run.part
    if not run.events:
        raise ValueError(f"event {part.number} came to no limit")
    baseline_w = _baseline_w(run)
    delivery = delivery_of(run, settlement_interval_s, baseline_w)
    over, performance, tracking = delivery.is_over, delivery.performance, delivery.tracking
    verdict, floor_kw, idle_kw = _verdict(run, settlement_interval_s)
    promises = promises_of(run)
    return EventFigures(
        number=part.number,
        profiles=tuple(f"{len(pool.instances)} x {pool.pool_id}" for pool in part.case.site.pools),
        form=part.wanted.form.value,
        depth_frac=part.wanted.depth_frac,
        cut_frac=1.0 - min(event.limit_w for event in run.events) / baseline_w,
        notice_s=part.wanted.notice_s,
        length_s=part.wanted.length_s,
        ramp_s=part.wanted.ramp_s,
        stretches=len(run.events),
        load_frac=part.load_frac,
        baseline_kw=baseline_w / 1000.0,
        limit_kw=min(event.limit_w for event in run.events) / 1000.0,
        floor_kw=floor_kw,
        idle_kw=idle_kw,
        verdict=verdict.value,
        intervals=len(over),
        over=int(over.sum()),
        worst_over_frac=float(delivery.over_frac[over].max(initial=0.0)),
        instants=delivery.instants,
        instants_over=delivery.instants_over,
        over_frac=float(delivery.over_frac.mean()),
        tracking_frac=float(tracking.mean()) if len(tracking) else None,
        control_frac=float((np.abs(delivery.means_w - delivery.set_w) / delivery.limits_w).mean()),
        performance_min=float(performance.min()) if len(performance) else None,
        performance_mean=float(performance.mean()) if len(performance) else None,
        below_commitment=int((performance < 1.0 - KEPT_FRAC).sum()),
        missing_kwh=float((delivery.missing_w * delivery.lengths_s).sum()) / J_PER_KWH,
        committed_kwh=float((delivery.committed_w * delivery.lengths_s).sum()) / J_PER_KWH,
        to_90_s=_reached_s(run, baseline_w, 0.9),
        to_full_s=_reached_s(run, baseline_w, 1.0),
        raises_in_ramp=sum(each.in_ramp for each in run.raises),
        raises_after=sum(not each.in_ramp for each in run.raises),
        actions=run.actions,
        asked_tokens=promises.asked,
        lost_tokens=promises.lost,
        dropped_tokens=promises.dropped,
        dropped_before_tokens=promises.dropped_before,
        asked_before_tokens=promises.asked_before,
        flex_late_tokens=promises.flex_waiting,
        overdrawn=promises.overdrawn,
        foreseen=promises.foreseen,
        undeclared=promises.undeclared,
        rebound_frac=_rebound_w(run) / baseline_w - 1.0,
        late_plans=sum(
            record.solve_s is not None and record.solve_s >= part.case.policy.slow_time_limit_s
            for _, record in run.records
        ),
    )


def _baseline_w(run: Run) -> float:
    """Mean of the time before the preparation, by the meter of the simulation."""
    times_s = run.part.case.times_s
    until_s = run.part.start_s - run.part.case.policy.prepare_s
    return float(
        run.played.power_w[(times_s >= until_s - run.part.programme.baseline.window_s) & (times_s < until_s)].mean()
    )


def _verdict(run: Run, interval_s: float) -> tuple[Verdict, float | None, float]:
    """The verdict of the hardest stretch, with the highest floor, kW."""
    order = tuple(Verdict)
    hardest, floors_kw, idle_kw = Verdict.WITHIN, [], 0.0
    for event in run.events:
        floor = run.part.floor(event.start_s, event.end_s, interval_s)
        hardest = max(hardest, floor.verdict(event.limit_w, MARGIN_FRAC), key=order.index)
        floors_kw.append(None if floor.promises_w is None else floor.promises_w / 1000.0)
        idle_kw = floor.idle_w / 1000.0
    told = [each for each in floors_kw if each is not None]
    return hardest, max(told) if len(told) == len(floors_kw) else None, idle_kw


def _reached_s(run: Run, baseline_w: float, share: float) -> float | None:
    event, case = run.events[0], run.part.case
    ended = tuple(zip((case.times_s + case.tick_s).tolist(), run.played.power_w.tolist(), strict=True))
    return time_to_share_s(ended, event, baseline_w, share) if baseline_w > event.limit_w else None


def _rebound_w(run: Run) -> float:
    times_s, end_s = run.part.case.times_s, run.part.end_s
    after = (times_s >= end_s) & (times_s < end_s + SETTLED_S)
    return float(run.played.power_w[after].max())
