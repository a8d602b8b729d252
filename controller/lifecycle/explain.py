"""Puts the reasons of a decision together, as data."""

from __future__ import annotations

from dataclasses import dataclass

from controller.lifecycle.accounts import event_diagnostics
from controller.lifecycle.diagnostics import ClassDiagnostics, Diagnostics, Fallback, PoolDiagnostics
from controller.lifecycle.knowledge import Known
from controller.lifecycle.ladder import Made
from controller.lifecycle.latency import fallback, unkept
from controller.lifecycle.memory import Memory, Phase
from controller.lifecycle.modelled_power import instance_power_w
from controller.lifecycle.refit import Learnt
from controller.lifecycle.targets import Targets
from controller.lifecycle.views import View
from controller.model.fleet import Site
from controller.model.observation import InstanceState, Missing, Observation
from controller.model.plan import Plan, PlanOrigin
from controller.optimizer.data import ProblemData
from controller.optimizer.workload import Lengths

_MAX_CONFLICTS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tick has decided, for its diagnostics.

    Attributes:
        present: the problem that was dispatched.
        learnt: of the pools' curves.
    """

    known: Known
    present: ProblemData
    views: tuple[View, ...]
    targets: Targets
    reasons: tuple[str, ...]
    plan: Plan | None
    made: Made | None
    dispatched: Made
    learnt: Learnt


def diagnose(site: Site, memory: Memory, observation: Observation, outcome: Outcome) -> Diagnostics:
    """The reasons of a decision."""
    known, made, dispatched = outcome.known, outcome.made, outcome.dispatched
    classes = _class_diagnostics(site, memory, outcome)
    return Diagnostics(
        now_s=known.now_s,
        slow_reasons=outcome.reasons,
        plan_origin=None if outcome.plan is None else outcome.plan.origin,
        dispatch_origin=dispatched.plan.origin,
        slow_solve_s=None if made is None else made.plan.solve_s,
        fast_solve_s=dispatched.plan.solve_s,
        fallbacks=(
            *(_standing(outcome.plan) if made is None else made.fallbacks),
            *dispatched.fallbacks,
            *_input_fallbacks(observation, known),
            *_table_fallbacks(memory),
            *_class_fallbacks(site, memory, classes),
            *outcome.learnt.fallbacks,
        ),
        slack=dispatched.plan.slack,
        measured_w=known.measured.value_w,
        measured_age_s=known.measured.age_s,
        router_age_s=known.router_age_s,
        modelled_w=known.modelled_w,
        charged_w=known.charged_w,
        planned_w=dispatched.plan.power_w[0],
        bias_w=known.data.sites[0].bias_w,
        limit_w=known.limit_w,
        effective_limit_w=known.data.sites[0].limit_w[0],
        price_usd_per_mwh=known.price.values[0],
        carbon_kg_per_mwh=known.carbon.values[0],
        classes=classes,
        pools=_pool_diagnostics(site, outcome),
        draining=tuple(v.instance.instance_id for v in outcome.views if v.intent.phase is Phase.DRAIN),
        event=event_diagnostics(observation.events, memory.baselines_w, known.now_s, known.measured.value_w),
        holding=known.holding,
        power_rung=known.measured.rung,
        margin_frac=known.margin_frac,
        refits=outcome.learnt.reports,
        foreseen=memory.foreseen,
        precedence=known.limits.order_at(known.now_s),
        is_only_returning=known.limits.is_only_returning(known.now_s),
    )


def _standing(plan: Plan | None) -> tuple[Fallback, ...]:
    """The rung of a plan that was made at an earlier tick and is still in force."""
    if plan is None or plan.origin is PlanOrigin.MILP:
        return ()
    return (Fallback("plan", plan.origin.value, f"made at {plan.horizon.start_s:.0f} s, until the next solve"),)


def _class_fallbacks(site: Site, memory: Memory, classes: tuple[ClassDiagnostics, ...]) -> tuple[Fallback, ...]:
    out: list[Fallback] = []
    for cls, burn, told in zip(site.classes, memory.burns, classes, strict=True):
        out += fallback(cls, Lengths(told.input_tokens, told.output_tokens), told.unkept)
        if not burn.is_known and cls.quality_budget_frac < 1.0:
            reason = (
                f"what class {cls.class_id} has burnt is not known, so it may lose no quality until all of its window "
                "is known again; put the state file back, or remove it, while the controller is stopped"
            )
            out.append(Fallback("quality", "counts as burnt", reason, cls.class_id))
    return tuple(out)


def _input_fallbacks(observation: Observation, known: Known) -> tuple[Fallback, ...]:
    out = []
    if known.measured.fallback is not None:
        out.append(Fallback("power", *known.measured.fallback))
    out += _conflicts(observation)
    if isinstance(observation.router, Missing):
        out.append(Fallback("demand", "last estimate", f"{observation.router.source}: {observation.router.reason}"))
    out += [Fallback("ramp", step, reason) for step, reason in known.ramps.fallbacks]
    left = {name for view in known.views if view.is_barred for name in (view.instance.instance_id, view.pool.pool_id)}
    for bar in observation.barred:
        step = "barred" if bar.name in left else "barred, but serves as nothing else can"
        out.append(Fallback("quality", step, f"by {bar.source}: {bar.reason}", bar.name))
    for ladder, signal in (("price", known.price), ("carbon", known.carbon)):
        if signal.fallback is not None:
            out.append(Fallback(ladder, "last or configured value", signal.fallback))
    return tuple(out)


def _table_fallbacks(memory: Memory) -> tuple[Fallback, ...]:
    told = None if memory.astray is None else memory.astray.fallback
    return () if told is None else (told,)


def _conflicts(observation: Observation) -> list[Fallback]:
    """A line for each disagreement of two sources, the first ones by name."""
    conflicts = () if observation.power_ladder is None else observation.power_ladder.conflicts
    out = [
        Fallback(
            "power",
            "higher of two",
            f"{one.subject}: {one.higher} says {one.higher_w:.0f} W, {one.lower} {one.lower_w:.0f} W; check unit, sign "
            "and place of both",
            one.subject,
        )
        for one in conflicts[:_MAX_CONFLICTS]
    ]
    if len(conflicts) > _MAX_CONFLICTS:
        out.append(Fallback("power", "higher of two", f"and {len(conflicts) - _MAX_CONFLICTS} more", "others"))
    return out


def _class_diagnostics(site: Site, memory: Memory, outcome: Outcome) -> tuple[ClassDiagnostics, ...]:
    known, present = outcome.known, outcome.present
    return tuple(
        ClassDiagnostics(
            class_id=cls.class_id,
            demand_tokens_per_s=known.demand[r].output_tokens_per_s,
            input_tokens=known.demand[r].input_tokens,
            output_tokens=known.demand[r].output_tokens,
            quality_burnt_frac=memory.burns[r].burnt_frac,
            quality_allowed_frac=present.classes[r].quality_budget_frac[0],
            planned_tokens_per_s=known.data.classes[r].demand_tokens_per_s,
            forecaster=known.demand[r].forecaster,
            quality_left_frac=memory.burns[r].left_frac(cls.quality_budget_frac),
            unkept=unkept(
                site,
                cls,
                Lengths(known.demand[r].input_tokens, known.demand[r].output_tokens),
                known.data.allowed[r],
                known.data.utilisation_frac,
            ),
        )
        for r, cls in enumerate(site.classes)
    )


def _pool_diagnostics(site: Site, outcome: Outcome) -> tuple[PoolDiagnostics, ...]:
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
