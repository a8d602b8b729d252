"""The live re-fit within a tick: curves learnt from what the meters and engines counted, and what the plan makes of it.

A tick learns before it decides, in every mode: the site whose instances it plans, models and judges then has the curves
in force (`controller.energy.refit`). Three rules keep the estimate from doing harm:

- A limit keeps free the larger of the policy's margin and `SURE_SD` standard deviations of what is drawn under
  load now, but never more than the policy's margin without a meter: the meter bounds the error that curves can leave.
- What a curtailment switches on counts at its upper end, what it switches off at its lower end, `SURE_SD` away.
- What the estimate takes over from the correction by the meter is taken from that correction in the same tick, so that
  nothing is counted twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.energy import refit_drift
from controller.energy.pool_fit import PoolFit, curves_of
from controller.energy.refit import learn
from controller.energy.refit_filter import Vector
from controller.energy.refit_prior import prior_of
from controller.lifecycle.barring import left_out
from controller.lifecycle.diagnostics import Fallback, PoolRefit, RefitAlarm, RefitFigure
from controller.lifecycle.memory import Memory, TokenCount
from controller.lifecycle.meters import intervals_of
from controller.lifecycle.modelled_power import charged_at_meter_w, count_tokens
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.refit_state import RefitState
from controller.lifecycle.views import View, look
from controller.model.fleet import Site, resting_awake
from controller.model.observation import InstanceState, Observation
from router.contract import PoolId

SURE_SD = 1.64
"""One side of 95 %."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a tick has learnt of its site.

    Attributes:
        site: with the curves in force.
        state: for the next tick.
        fits: of each pool; () where nothing is learnt.
        reports: of each pool, for the diagnostics; () likewise.
        before: the site as it was modelled until now, where that has changed.
    """

    site: Site
    state: RefitState
    fits: tuple[PoolFit, ...] = ()
    reports: tuple[PoolRefit, ...] = ()
    before: Site | None = None

    @property
    def doubts_w(self) -> tuple[float, ...]:
        """How far P0 of an instance may lie from the figure in force, by pool; zeros where nothing is learnt."""
        if not self.fits:
            return (0.0,) * len(self.site.pools)
        return tuple(SURE_SD * math.sqrt(fit.power.belief.variance_at((1.0, 0.0, 0.0, 0.0))) for fit in self.fits)

    @property
    def upper(self) -> Site:
        """The site with P0 of each pool at its upper end, for whoever switches instances on between two ticks."""
        if not self.fits:
            return self.site
        pools = []
        for pool, doubt in zip(self.site.pools, self.doubts_w, strict=True):
            base_j = pool.curves.step_base_j + doubt * pool.curves.step_base_s
            pools.append(replace(pool, curves=replace(pool.curves, step_base_j=base_j)))
        return replace(self.site, pools=tuple(pools))

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """Pools that have left their curves."""
        return tuple(
            Fallback("curves", "drift", alarm.told, f"{report.pool_id} {alarm.figure}")
            for report in self.reports
            for alarm in report.alarms
        )


def relearn(site: Site, policy: TickPolicy, memory: Memory, observation: Observation) -> Learnt:
    """Learn from what was counted since the last tick; nothing where the policy says so."""
    if not policy.refit:
        return Learnt(site, RefitState())
    state, now_s = memory.refit, observation.now_s
    passed_s = 0.0 if state.learnt_at_s is None else max(0.0, now_s - state.learnt_at_s)
    known = {kept.pool_id: kept.fit for kept in state.pools}
    anchors, intervals = intervals_of(site, state.anchors, observation)
    before, fits, reports = [], [], []
    for pool, ended in zip(site.pools, intervals, strict=True):
        prior = prior_of(pool.curves)
        old = known.get(pool.pool_id)
        old = PoolFit.begin(prior) if old is None or old.key != prior.key else old
        fit = learn(old, prior, ended, passed_s)
        found = refit_drift.figures(fit, prior)
        fit = replace(fit, raised=refit_drift.alarms(fit, found))
        before.append(old)
        fits.append(fit)
        reports.append(_report(pool.pool_id, fit, found))
    estimated = _with_curves(site, fits)
    changed = any(old.planned != new.planned for old, new in zip(before, fits, strict=True))
    return Learnt(
        site=estimated,
        state=RefitState.of(site, anchors, tuple(fits), now_s),
        fits=tuple(fits),
        reports=tuple(reports),
        before=_with_curves(site, before) if changed else None,
    )


def handed_over(learnt: Learnt, policy: TickPolicy, memory: Memory, observation: Observation) -> Memory:
    """The memory as it would be had the curves in force now been so before.

    The correction from the meter gives up what the estimate has taken over; what was drawn is told in the new model.
    """
    memory = replace(memory, refit=learnt.state)
    if learnt.before is None:
        return memory
    views = look(
        learnt.site,
        memory.intents,
        observation,
        stale_s=policy.reading_stale_s,
        retry_s=policy.command_retry_s,
        barred=left_out(learnt.site, observation, serves_barred=policy.serves_barred),
    )
    counts = count_tokens(views, memory.tokens)
    former = tuple(replace(view, pool=learnt.before.pools[view.pool_index]) for view in views)
    risen_w = charged_at_meter_w(learnt.site, views, counts) - charged_at_meter_w(learnt.before, former, counts)
    return replace(
        memory,
        bias_w=max(0.0, memory.bias_w - max(0.0, risen_w)),
        predicted=replace(
            memory.predicted,
            samples=tuple((at_s, max(0.0, watts + risen_w)) for at_s, watts in memory.predicted.samples),
        ),
    )


def doubt_w(learnt: Learnt, views: tuple[View, ...], counts: tuple[TokenCount, ...]) -> float:
    """How far the power of the instances that compute now may lie from the estimate, at the meter, W.

    Errors of a pool's instances are the same error and add up; those of different pools add up as squares. Instances
    without work are left out: what they draw is learnt within seconds of their rest.
    """
    rates = {count.instance_id: count for count in counts}
    total = 0.0
    for k, fit in enumerate(learnt.fits):
        h: Vector = (0.0, 0.0, 0.0, 0.0)
        for view in views:
            if view.pool_index == k and view.seen is not None and view.state is InstanceState.SERVING:
                load = _load(view, rates.get(view.instance.instance_id), fit.computed_frac)
                h = tuple(a + b for a, b in zip(h, load, strict=True))
        total += fit.power.belief.variance_at(h)
    return learnt.site.pue * SURE_SD * math.sqrt(total)


def widened_frac(policy: TickPolicy, usual_frac: float, doubt: float, reference_w: float | None) -> float:
    """Share of a limit kept free: the usual one, or what the curves' doubt asks for up to that without a meter.

    Args:
        policy: of the margins.
        usual_frac: margin that holds without any doubt of the curves.
        doubt: of what is drawn now, W.
        reference_w: the limit, or what is drawn where there is none.
    """
    if not reference_w or reference_w <= 0.0:
        return usual_frac
    return max(usual_frac, min(policy.blind_margin_frac, doubt / reference_w))


def _load(view: View, count: TokenCount | None, computed_frac: float) -> Vector:
    """Regressors of an instance's power as the plan models it: P0 while it has work, and its tokens."""
    decoded, prompted = (0.0, 0.0) if count is None else (count.generation_per_s, count.prompt_per_s)
    works = view.busy > 0 or decoded > 0.0
    return (1.0, decoded, computed_frac * prompted, 0.0) if works else (0.0, 0.0, 0.0, 0.0)


def _with_curves(site: Site, fits: list[PoolFit]) -> Site:
    curves = [curves_of(fit, pool.curves) for fit, pool in zip(fits, site.pools, strict=True)]
    if all(new is pool.curves for new, pool in zip(curves, site.pools, strict=True)):
        return site
    pools = (replace(pool, curves=new) for new, pool in zip(curves, site.pools, strict=True))
    return replace(site, pools=tuple(resting_awake(pool) if pool.rests_awake else pool for pool in pools))


def _report(pool_id: PoolId, fit: PoolFit, found: tuple[refit_drift.Figure, ...]) -> PoolRefit:
    return PoolRefit(
        pool_id=pool_id,
        figures=tuple(RefitFigure(one.name, one.estimate, one.profile, one.sd) for one in found if one.seen),
        observations=sum(estimate.seen for estimate in fit.estimates),
        rejected=fit.rejected,
        changes=fit.changes,
        bias_frac=fit.bias_frac,
        computed_frac=fit.usual_computed_frac,
        alarms=tuple(RefitAlarm(name, refit_drift.told(pool_id, name, fit, found)) for name in fit.raised),
    )
