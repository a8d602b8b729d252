"""One decision of the control loop, from what is known to what is done; the same code in service and simulation.

A tick estimates the demand, plans the instances when something calls for it (mixed-integer program), takes the next
step of each instance's life cycle towards the plan, and dispatches the present demand over the instances that really
serve (linear program): that gives the routers' weights and caps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.forecast import demand as demands
from controller.forecast.signals import SignalForecast, forecast
from controller.lifecycle.accounts import burn, event_diagnostics, freeze_baselines
from controller.lifecycle.diagnostics import ClassDiagnostics, Diagnostics, Fallback, PoolDiagnostics
from controller.lifecycle.ladder import Made, fast, slow, step_of
from controller.lifecycle.memory import Intent, Memory, Phase, TokenCount
from controller.lifecycle.policy import Mode, Precedence, TickPolicy
from controller.lifecycle.power_loop import (
    Measured,
    count_tokens,
    draining_power_w,
    instance_power_w,
    measured_power,
    modelled_power_w,
    next_bias_w,
)
from controller.lifecycle.problem import Inputs, build
from controller.lifecycle.steering import Situation, Targets, steer
from controller.lifecycle.table import body, issue, with_event
from controller.lifecycle.triggers import events_key, fleet_key, holding, router_age_s, slow_reasons
from controller.lifecycle.views import View, look, natural_intent
from controller.model.fleet import Site
from controller.model.grid import limit_at
from controller.model.observation import InstanceState, Missing, Observation
from controller.model.plan import Commands, Horizon, InstanceCommand, Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.planner import Planner
from controller.optimizer.workload import Lengths

__all__ = ["Decision", "Diagnostics", "Memory", "Mode", "Planner", "Precedence", "TickPolicy", "decide"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a tick decided.

    Attributes:
        plan: the plan in force over the horizon.
        dispatch: token rates of the present interval over the instances that serve now.
        commands: the table and what to do to instances; to be carried out only where `publish` is set.
        publish: whether the table goes to the routers (mode ``act``).
        recommended: what would be set going, in mode ``recommend``.
        memory: for the next tick.
        diagnostics: the reasons.
    """

    plan: Plan | None
    dispatch: Plan | None
    commands: Commands
    publish: bool
    recommended: tuple[InstanceCommand, ...]
    memory: Memory
    diagnostics: Diagnostics


@dataclass(frozen=True, slots=True)
class _Known:
    """What a tick has found out before it plans."""

    views: tuple[View, ...]
    tokens: tuple[TokenCount, ...]
    demand_state: demands.DemandState
    demand: tuple[demands.Demand, ...]
    measured: Measured
    modelled_w: float
    price: SignalForecast
    carbon: SignalForecast
    data: ProblemData
    limit_w: float | None


def decide(site: Site, policy: TickPolicy, planner: Planner, memory: Memory, observation: Observation) -> Decision:
    """Decide what the routers and the instances are to do until the next tick.

    Equal arguments give equal decisions, but for the solver's times.
    """
    now_s = observation.now_s
    acts = policy.mode is Mode.ACT
    memory = _account(site, policy, memory, observation)
    known = _find_out(site, policy, memory, observation)
    memory = replace(memory, demand=known.demand_state, tokens=known.tokens, bias_w=known.data.bias_w, bias_at_s=now_s)
    events, fleet = events_key(observation.events, now_s), fleet_key(site, known.views)
    reasons = slow_reasons(policy, memory, now_s, events=events, fleet=fleet)
    made = None
    if reasons:
        made = slow(
            planner,
            known.data,
            memory.plan,
            time_limit_s=policy.slow_time_limit_s,
            serving=_serving(site, known.views),
        )
        memory = replace(memory, plan=made.plan, planned_at_s=now_s, events_key=events, fleet_key=fleet)
    plan = made.plan if made is not None else memory.plan
    targets = _targets(site, known, plan, now_s)
    steered = steer(known.views, targets, _situation(site, policy, memory, observation, known))
    views = steered.views if acts else known.views
    dispatched = fast(planner, known.data, _serving(site, views))
    lengths = tuple(Lengths(demand.input_tokens, demand.output_tokens) for demand in known.demand)
    content = with_event(body(site, known.data, dispatched.plan, views, lengths), observation.events, now_s)
    table = issue(content, memory.table, policy, sequence=memory.sequence, now_s=now_s)
    memory = replace(
        memory,
        table=table,
        sequence=table.sequence,
        intents=_intents(views, table.sequence),
        lacking=bool(dispatched.plan.slack),
    )
    return Decision(
        plan=plan,
        dispatch=dispatched.plan,
        commands=Commands(table, steered.commands if acts else ()),
        publish=acts,
        recommended=steered.wanted if policy.mode is Mode.RECOMMEND else (),
        memory=memory,
        diagnostics=_diagnose(
            site, policy, memory, observation, _Outcome(known, views, targets, reasons, plan, made, dispatched)
        ),
    )


def _account(site: Site, policy: TickPolicy, memory: Memory, observation: Observation) -> Memory:
    """Book what happened since the last tick: quality burnt, power measured, baselines that fall due."""
    measured = measured_power(site, observation, policy.reading_stale_s)
    history, window_s = memory.history, policy.baseline_window_s
    router = observation.router
    baselines = freeze_baselines(memory.baselines_w, history, observation.events, observation.now_s, window_s)
    if measured.value_w is not None:
        history = history.with_sample(observation.now_s, measured.value_w, window_s)
    return replace(
        memory,
        burns=burn(site, memory.burns, memory.served, observation),
        served=memory.served if isinstance(router, Missing) else router.demand,
        history=history,
        baselines_w=baselines,
    )


def _find_out(site: Site, policy: TickPolicy, memory: Memory, observation: Observation) -> _Known:
    """Instances, demand, power and signals, put together as the problem of now."""
    now_s, router = observation.now_s, observation.router
    views = look(site, memory.intents, observation, stale_s=policy.reading_stale_s, retry_s=policy.command_retry_s)
    if policy.mode is not Mode.ACT:
        views = tuple(replace(view, intent=natural_intent(view, now_s)) for view in views)
    tokens = count_tokens(views, memory.tokens)
    state = memory.demand
    if not isinstance(router, Missing):
        state = demands.update(state, router, policy.demand_fast_tau_s, policy.demand_slow_tau_s)
    demand = tuple(demands.estimate(state, cls, policy.step_s) for cls in site.classes)
    measured = measured_power(site, observation, policy.reading_stale_s)
    modelled_w = modelled_power_w(site, views, tokens)
    bias_w = next_bias_w(
        policy,
        site,
        observation,
        (memory.bias_w, memory.bias_at_s),
        measured_w=measured.value_w,
        modelled_w=modelled_w,
        leaving_w=draining_power_w(site, views),
    )
    horizon = Horizon(now_s, policy.step_s, policy.steps)
    stale_s = policy.signal_stale_s
    price = forecast(observation.price_usd_per_mwh, horizon, policy.default_price_usd_per_mwh, stale_s)
    carbon = forecast(observation.carbon_kg_per_mwh, horizon, policy.default_carbon_kg_per_mwh, stale_s)
    inputs = Inputs(
        now_s=now_s,
        views=views,
        demand=demand,
        burns=memory.burns,
        events=observation.events,
        price_usd_per_mwh=price.values,
        carbon_kg_per_mwh=carbon.values,
        bias_w=bias_w,
        margin_frac=policy.blind_margin_frac if measured.value_w is None else policy.margin_frac,
        retry_s=policy.command_retry_s,
    )
    return _Known(
        views=views,
        tokens=tokens,
        demand_state=state,
        demand=demand,
        measured=measured,
        modelled_w=modelled_w,
        price=price,
        carbon=carbon,
        data=build(site, policy, inputs),
        limit_w=limit_at(observation.events, site.import_limit_w, now_s),
    )


def _serving(site: Site, views: tuple[View, ...]) -> tuple[int, ...]:
    return tuple(sum(view.serves and view.pool_index == k for view in views) for k in range(len(site.pools)))


def _targets(site: Site, known: _Known, plan: Plan | None, now_s: float) -> Targets:
    """What the plan wants now, within what can be reached."""
    if plan is None:
        on = _serving(site, known.views)
        return Targets(on, on)
    step = step_of(plan, now_s)
    reach = [pool.instances for pool in known.data.pools]
    on = tuple(min(pool.on[step], most) for pool, most in zip(plan.pools, reach, strict=True))
    loaded = tuple(min(pool.on[step] + pool.sleeping[step], most) for pool, most in zip(plan.pools, reach, strict=True))
    return Targets(on, loaded)


def _situation(site: Site, policy: TickPolicy, memory: Memory, observation: Observation, known: _Known) -> Situation:
    limited = known.limit_w is not None
    contract = policy.precedence is Precedence.CONTRACT
    effective_w = known.data.limit_w[0]
    drawn_w = max(known.modelled_w, known.measured.value_w or 0.0)
    return Situation(
        now_s=observation.now_s,
        router=observation.router,
        allowed=known.data.allowed,
        holding=holding(policy, memory.demand.observed_s, router_age_s(observation), limited=limited),
        break_first=contract and effective_w is not None and drawn_w > effective_w,
        limited=limited,
        headroom_w=effective_w - drawn_w if contract and effective_w is not None else None,
        pue=site.pue,
        grace_s=policy.drain_grace_s,
        retry_s=policy.command_retry_s,
    )


def _intents(views: tuple[View, ...], sequence: int) -> tuple[Intent, ...]:
    """Intents for the next tick; those newly draining wait for the table that first says so."""
    return tuple(
        replace(view.intent, sequence=sequence)
        if view.intent.phase is Phase.DRAIN and view.intent.sequence is None
        else view.intent
        for view in views
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a tick has decided, for its diagnostics."""

    known: _Known
    views: tuple[View, ...]
    targets: Targets
    reasons: tuple[str, ...]
    plan: Plan | None
    made: Made | None
    dispatched: Made


def _diagnose(
    site: Site, policy: TickPolicy, memory: Memory, observation: Observation, outcome: _Outcome
) -> Diagnostics:
    known, made, dispatched = outcome.known, outcome.made, outcome.dispatched
    now_s = observation.now_s
    return Diagnostics(
        now_s=now_s,
        slow_reasons=outcome.reasons,
        plan_origin=None if outcome.plan is None else outcome.plan.origin,
        dispatch_origin=dispatched.plan.origin,
        slow_solve_s=None if made is None else made.plan.solve_s,
        fast_solve_s=dispatched.plan.solve_s,
        fallbacks=(
            *(() if made is None else made.fallbacks),
            *dispatched.fallbacks,
            *_input_fallbacks(observation, known),
        ),
        slack=dispatched.plan.slack,
        measured_w=known.measured.value_w,
        measured_age_s=known.measured.age_s,
        router_age_s=router_age_s(observation),
        modelled_w=known.modelled_w,
        planned_w=dispatched.plan.power_w[0],
        bias_w=known.data.bias_w,
        limit_w=known.limit_w,
        effective_limit_w=known.data.limit_w[0],
        price_usd_per_mwh=known.price.values[0],
        carbon_kg_per_mwh=known.carbon.values[0],
        classes=_class_diagnostics(site, memory, known),
        pools=_pool_diagnostics(site, outcome),
        draining=tuple(v.instance.instance_id for v in outcome.views if v.intent.phase is Phase.DRAIN),
        event=event_diagnostics(observation.events, memory.baselines_w, now_s, known.measured.value_w),
        holding=holding(policy, memory.demand.observed_s, router_age_s(observation), limited=known.limit_w is not None),
    )


def _input_fallbacks(observation: Observation, known: _Known) -> tuple[Fallback, ...]:
    out = []
    if known.measured.fallback is not None:
        out.append(Fallback("power", *known.measured.fallback))
    if isinstance(observation.router, Missing):
        out.append(Fallback("demand", "last estimate", f"{observation.router.source}: {observation.router.reason}"))
    for ladder, signal in (("price", known.price), ("carbon", known.carbon)):
        if signal.fallback is not None:
            out.append(Fallback(ladder, "last or configured value", signal.fallback))
    return tuple(out)


def _class_diagnostics(site: Site, memory: Memory, known: _Known) -> tuple[ClassDiagnostics, ...]:
    return tuple(
        ClassDiagnostics(
            class_id=cls.class_id,
            demand_tokens_per_s=known.demand[r].output_tokens_per_s,
            input_tokens=known.demand[r].input_tokens,
            output_tokens=known.demand[r].output_tokens,
            quality_burnt_frac=memory.burns[r].burnt_frac,
            quality_allowed_frac=known.data.classes[r].quality_budget_frac[0],
        )
        for r, cls in enumerate(site.classes)
    )


def _pool_diagnostics(site: Site, outcome: _Outcome) -> tuple[PoolDiagnostics, ...]:
    counts = {count.instance_id: count for count in outcome.known.tokens}
    out = []
    for k, pool in enumerate(site.pools):
        views = [view for view in outcome.views if view.pool_index == k]
        phases = [view.intent.phase for view in views if view.state is not InstanceState.UNREACHABLE]
        out.append(
            PoolDiagnostics(
                pool_id=pool.pool_id,
                serving=sum(view.serves for view in views),
                draining=phases.count(Phase.DRAIN),
                waking=phases.count(Phase.WAKE),
                sleeping=phases.count(Phase.SLEEP),
                off=phases.count(Phase.OFF),
                unreachable=len(views) - len(phases),
                target_on=outcome.targets.on[k],
                tokens_per_s=sum(
                    counts[v.instance.instance_id].generation_per_s for v in views if v.instance.instance_id in counts
                ),
                power_w=sum(instance_power_w(v, counts.get(v.instance.instance_id)) for v in views),
            )
        )
    return tuple(out)
