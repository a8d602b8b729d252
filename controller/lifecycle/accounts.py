"""What is kept from tick to tick beside the plan: quality burnt and baselines."""

from __future__ import annotations

from controller.lifecycle.diagnostics import EventDiagnostics
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.observation import ClassDemand, Missing, Observation
from controller.settlement.baseline import PowerHistory, baseline_w
from controller.settlement.quality_budget import QualityBurn
from router.contract import EventState

Baselines = tuple[tuple[str, float], ...]


def burn(
    site: Site, burns: tuple[QualityBurn, ...], served: tuple[ClassDemand, ...], observation: Observation
) -> tuple[QualityBurn, ...]:
    """Add what each class was served since the last counters; where one went back, nothing is added."""
    before = {counters.class_id: dict(counters.output_tokens_by_pool) for counters in served}
    router = observation.router
    now = {} if isinstance(router, Missing) else {counters.class_id: counters for counters in router.demand}
    known = {entry.class_id: entry for entry in burns}
    out = []
    for cls, row in zip(site.classes, site.losses, strict=True):
        losses = {pool.pool_id: loss for pool, loss in zip(site.pools, row, strict=True)}
        entry = known.get(cls.class_id) or QualityBurn.empty(cls.class_id, cls.quality_window_s)
        tokens, loss_tokens = 0.0, 0.0
        if cls.class_id in now and cls.class_id in before:
            old = before[cls.class_id]
            for pool_id, count in now[cls.class_id].output_tokens_by_pool:
                added = max(0.0, count - old.get(pool_id, 0.0))
                tokens += added
                loss_tokens += added * losses.get(pool_id, 0.0)
        out.append(entry.with_tokens(observation.now_s, tokens, loss_tokens))
    return tuple(out)


def freeze_baselines(
    baselines: Baselines,
    history: PowerHistory,
    events: tuple[GridEvent, ...],
    now_s: float,
    *,
    window_s: float,
    prepare_s: float,
) -> Baselines:
    """Baselines of the events known, each set once, at the first tick at or after its start.

    Where the programme's rule has a baseline, that one counts; otherwise the mean of what was drawn before.
    """
    kept = dict(baselines)
    out = []
    for event in events:
        if event.event_id in kept:
            out.append((event.event_id, kept[event.event_id]))
        elif now_s >= event.start_s:
            value_w = event.baseline_w
            if value_w is None:
                value_w = baseline_w(history.samples, event, window_s, prepare_s)
            if value_w is not None:
                out.append((event.event_id, value_w))
    return tuple(out)


def event_diagnostics(
    events: tuple[GridEvent, ...], baselines: Baselines, now_s: float, measured_w: float | None
) -> EventDiagnostics | None:
    """The event in force of the lowest limit, or else the next one."""
    known = [(state, event) for event in events if (state := event.state(now_s)) is not None]
    active = [event for state, event in known if state is EventState.ACTIVE]
    pending = [event for state, event in known if state is EventState.PENDING]
    if active:
        event = min(active, key=lambda e: (e.limit_w, e.event_id))
    elif pending:
        event = min(pending, key=lambda e: (e.start_s, e.event_id))
    else:
        return None
    before_w = dict(baselines).get(event.event_id)
    both = active and before_w is not None and measured_w is not None
    return EventDiagnostics(
        event_id=event.event_id,
        state=EventState.ACTIVE if active else EventState.PENDING,
        limit_w=event.limit_w,
        start_s=event.start_s,
        end_s=event.end_s,
        ramp_s=event.ramp_s,
        baseline_w=before_w,
        delivered_w=before_w - measured_w if both and before_w is not None and measured_w is not None else None,
        over_limit=bool(active)
        and measured_w is not None
        and now_s >= event.start_s + event.ramp_s
        and measured_w > event.limit_w,
        asked_limit_w=event.asked_limit_w,
    )
