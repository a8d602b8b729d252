"""One decision of the control loop, from what is known to what is done; the same code in service and simulation.

A tick estimates the demand, plans the instances when something calls for it (mixed-integer program), takes the next
step of each instance's life cycle towards the plan, and dispatches the present demand over the instances that really
serve (linear program): that gives the routers' weights and caps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.lifecycle.capability import Facts, facts_of
from controller.lifecycle.diagnostics import Diagnostics
from controller.lifecycle.exchange import coming_up_w, with_room_for
from controller.lifecycle.explain import Outcome, diagnose
from controller.lifecycle.foresee import foresee
from controller.lifecycle.knowledge import Known, account, find_out
from controller.lifecycle.ladder import Made, fast, step_of
from controller.lifecycle.memory import Intent, Memory, Phase
from controller.lifecycle.planning import Task, recommended, targets_of
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.precedence import Asked, answered
from controller.lifecycle.quality import granted
from controller.lifecycle.ramps import Decided, coming_w, departing_higher, leaving_w, remembered
from controller.lifecycle.refit import Learnt, handed_over, relearn
from controller.lifecycle.replicas import desired_replicas, let_go
from controller.lifecycle.roster import site_now, with_places
from controller.lifecycle.settling import raised_now
from controller.lifecycle.steering import Situation, steer
from controller.lifecycle.table import body, issue, with_event
from controller.lifecycle.triggers import events_key, fleet_key, is_near, slow_reasons, unforeseen
from controller.lifecycle.views import View, serving_by_pool
from controller.model.fleet import Site
from controller.model.grid import Precedence
from controller.model.observation import Observation
from controller.model.plan import Commands, InstanceCommand, Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.planner import Planner
from controller.optimizer.workload import Lengths
from router.contract import PoolId

__all__ = ["Decision", "Diagnostics", "Memory", "Mode", "Planner", "TickPolicy", "decide"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a tick decided.

    Attributes:
        plan: the plan in force over the horizon.
        dispatch: token rates of the present interval over the instances that serve now.
        commands: the table and what to do to instances; to be carried out only where `publish` is set.
        publish: whether the table goes to the routers (mode ``act``).
        recommended: what would be set going, in mode ``recommend`` of the controller or of a pool.
        memory: for the next tick.
        diagnostics: the reasons.
        upper: the site with P0 of each pool at the upper end of what is known, for what is switched on between ticks;
            None where nobody told.
        site: with the curves in force; None where nobody told.
        facts: from which can be told what can be shed; None where nobody told.
        replicas: how many instances of each pool are to exist; empty without a plan.
    """

    plan: Plan | None
    dispatch: Plan | None
    commands: Commands
    publish: bool
    recommended: tuple[InstanceCommand, ...]
    memory: Memory
    diagnostics: Diagnostics
    upper: Site | None = None
    site: Site | None = None
    facts: Facts | None = None
    replicas: tuple[tuple[PoolId, int], ...] = ()


def decide(
    site: Site,
    policy: TickPolicy,
    planner: Planner,
    memory: Memory,
    observation: Observation,
    *,
    plans: bool = True,
) -> Decision:
    """Decide what the routers and the instances are to do until the next tick.

    Equal arguments give equal decisions, but for the solver's times.

    Args:
        site: as configured; discovered instances are those of the observation.
        policy: of the control loop.
        planner: solves what is planned.
        memory: of the tick before.
        observation: what is known.
        plans: whether instances may be planned anew; without, a plan that is called for is left to the next tick, and
            the routers are told at once what the instances that serve can do.
    """
    acts = policy.mode is Mode.ACT
    site = site_now(site, observation.rosters)
    observation = with_places(site, observation)
    learnt = relearn(site, policy, memory, observation)
    site, memory = learnt.site, handed_over(learnt, policy, memory, observation)
    memory = account(site, policy, memory, observation)
    known = find_out(site, policy, memory, observation, learnt)
    fleet = fleet_key(site, known.views)
    memory, reasons, made = _plan(learnt, policy, planner, memory, known, fleet, plans=plans)
    new = unforeseen(memory.fleet_key, fleet, len(site.pools))
    targets = targets_of(site, policy, known, memory.plan, new)
    situation = _situation(learnt, policy, observation, known, are_astray=memory.astray is not None)
    steered = steer(known.views, targets, situation)
    views = steered.views if acts else known.views
    step = 0 if memory.plan is None else step_of(memory.plan, known.now_s)
    rising_w = coming_w(site, views, targets)
    serving = serving_by_pool(views, len(site.pools))
    reserved_w = steered.lacking_w + coming_up_w(site, views, learnt.doubts_w) if acts else 0.0
    until_planned = not plans and memory.events_key != events_key(known.events, known.now_s)
    leaves_w = leaving_w(site, views, known.tokens, targets)

    def now_of(data: ProblemData) -> ProblemData:
        present = departing_higher(granted(known.presently(data), memory.plan, step), -rising_w)
        return with_room_for(present, reserved_w, serving)

    answer = answered(
        Asked(now_of(known.data), known.limits.order_at(known.now_s) is Precedence.CONTRACT),
        None if known.firm is None else now_of(known.firm),
        lambda asked: fast(
            planner, asked.data, serving, limit_first=asked.limit_first, until_planned=until_planned, leaves_w=leaves_w
        ),
    )
    present, dispatched = answer.data, answer.made
    memory = remembered(memory, policy, Decided(known.data, present, dispatched.plan, rising_w))
    lengths = tuple(Lengths(demand.input_tokens, demand.output_tokens) for demand in known.demand)
    content = with_event(body(site, known.data, dispatched.plan, views, lengths), observation.events, known.now_s)
    table = issue(content, memory.table, policy, sequence=memory.sequence, now_s=known.now_s)
    replicas = _replicas(site, memory, known, views if acts else None)
    memory = replace(
        memory,
        table=table,
        sequence=table.sequence,
        intents=_intents(views, table.sequence),
        raised=raised_now(memory.raised, memory.intents, views, known.now_s) if acts else (),
        demand=known.demand_state,
        forecasts=known.forecasts,
        tokens=known.tokens,
        bias_w=known.data.sites[0].bias_w,
        bias_at_s=known.now_s,
        lacking=_lacks(dispatched.plan, memory.plan),
        control=replace(memory.control, set_w=dispatched.plan.import_w[0]),
        drains=memory.drains.after(known.now_s, steered.drained_s if acts else ()),
    )
    outcome = Outcome(known, present, views, targets, reasons, memory.plan, made, dispatched, learnt)
    return Decision(
        plan=memory.plan,
        dispatch=dispatched.plan,
        commands=Commands(table, steered.commands if acts else ()),
        publish=acts,
        recommended=(
            *(steered.wanted if policy.mode is Mode.RECOMMEND else ()),
            *recommended(site, policy, known, memory.proposed, situation, new),
        ),
        memory=memory,
        diagnostics=diagnose(site, memory, observation, outcome),
        upper=learnt.upper,
        site=learnt.site,
        facts=facts_of(learnt, policy, known, memory),
        replicas=replicas,
    )


def _plan(
    learnt: Learnt,
    policy: TickPolicy,
    planner: Planner,
    memory: Memory,
    known: Known,
    fleet: tuple[int, ...],
    *,
    plans: bool,
) -> tuple[Memory, tuple[str, ...], Made | None]:
    """Plan the instances anew where something calls for it: the memory with the plan in force, why, and how."""
    site = learnt.site
    events = events_key(known.events, known.now_s)
    rising = known.limits.is_rising(known.now_s)
    reasons = slow_reasons(policy, memory, known.now_s, events=events, fleet=fleet, held=known.holding, rising=rising)
    if not reasons or (memory.plan is not None and not plans):
        return memory, (), None
    new = unforeseen(memory.fleet_key, fleet, len(site.pools))
    task = Task(learnt, policy, known, memory.plan, memory.proposed, new)
    found = task.planned(planner)
    made = found.answer.made
    planned = replace(
        memory,
        plan=made.plan,
        proposed=found.proposed,
        foreseen=foresee(made.plan, found.answer.data, [cls.priority for cls in site.classes]),
        planned_at_s=known.now_s,
        events_key=events,
        fleet_key=fleet,
        blind=known.holding is not None,
    )
    return planned, reasons, made


def _situation(
    learnt: Learnt, policy: TickPolicy, observation: Observation, known: Known, *, are_astray: bool
) -> Situation:
    """What bears on the steps.

    Within an event's ramp its limit does not yet have instances go at once; but while more is drawn than it allows,
    nothing comes up before as much has gone.
    """
    site = learnt.site
    ramped_by_s = known.now_s + policy.drain_expected_s
    firm_w = known.limits.at(known.now_s, Precedence.CONTRACT, ramped_by_s=ramped_by_s)
    effective_w = None if firm_w is None else firm_w * (1.0 - known.margin_frac)
    drawn_w, seen_w = (known.measured.at_least(each) for each in (known.charged_w, known.modelled_w))
    called_w = known.limits.at(known.now_s, Precedence.CONTRACT) if known.is_called else None
    must_fall = called_w is not None and seen_w > called_w
    bounds_w = (effective_w, _prepared_up_to_w(policy, known), drawn_w if must_fall else None)
    rooms_w = [most_w - drawn_w for most_w in bounds_w if most_w is not None]
    return Situation(
        now_s=observation.now_s,
        router=observation.router,
        allowed=known.data.allowed,
        holding=known.holding,
        break_first=effective_w is not None and seen_w > effective_w,
        called=known.is_called,
        must_fall=must_fall,
        released_s=known.released_s,
        headroom_w=min(rooms_w, default=None),
        pue=site.pue,
        grace_s=policy.drain_grace_s,
        retry_s=policy.command_retry_s,
        capacity_tokens_per_s=_capacity(known.data),
        doubts_w=learnt.doubts_w,
        are_astray=are_astray,
    )


def _prepared_up_to_w(policy: TickPolicy, known: Known) -> float | None:
    """Power up to which the ramp lets the site rise while it prepares for an event; None where it does not prepare.

    What is woken beside what serves is no part of the plan, whose own rises the ramp binds already.
    """
    [site] = known.data.sites
    return site.most_first_w if is_near(known.events, known.now_s, policy.prepare_s) else None


def _capacity(data: ProblemData) -> tuple[float, ...]:
    """Output tokens/s of one instance of each pool, for the class that needs most of it."""
    return tuple(
        1.0
        / max((busy[k] for busy, may in zip(data.busy_s_per_token, data.allowed, strict=True) if may[k]), default=1.0)
        for k in range(len(data.pools))
    )


def _replicas(
    site: Site, memory: Memory, known: Known, steered: tuple[View, ...] | None
) -> tuple[tuple[PoolId, int], ...]:
    """How many instances are to exist; by a controller that does not act, as the one says whose memory it follows."""
    if memory.plan is None:
        return ()
    told = (intent.instance_id for intent in memory.intents if intent.is_let_go)
    gone = frozenset(told) if steered is None else let_go(steered)
    return desired_replicas(site, memory.plan, known.now_s, gone)


def _lacks(dispatch: Plan, plan: Plan | None) -> bool:
    """Whether the serving instances break a promise that the plan, once it has come true, keeps.

    A ramp is broken by what serves already and kept again within an interval: another plan does not mend it.
    """
    known = set() if plan is None else {(slack.promise, slack.subject) for slack in plan.slack}
    return any((slack.promise, slack.subject) not in known and slack.promise != "ramp" for slack in dispatch.slack)


def _intents(views: tuple[View, ...], sequence: int) -> tuple[Intent, ...]:
    """Intents for the next tick; those newly draining wait for the table that first says so."""
    intents = (replace(view.intent, is_let_go=view.is_let_go) for view in views)
    return tuple(
        replace(intent, sequence=sequence) if intent.phase is Phase.DRAIN and intent.sequence is None else intent
        for intent in intents
    )
