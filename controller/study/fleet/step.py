"""One step of a run: what really comes is sent over the instances that are on, and meters, queues and batteries move.

A fluid model of the engines: within a step tokens flow at constant rates and power is the affine law of the curves at
these rates. Queueing within a step is what the share of engine time that is not planned is for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from controller.model.plan import Horizon, Plan
from controller.optimizer.data import ClassData, ProblemData
from controller.optimizer.onsite import stored_wh_per_w, taken_wh_per_w
from controller.optimizer.outcome import rates_of
from controller.optimizer.planner import Planner
from controller.study.fleet.case import FleetCase
from controller.study.fleet.state import Intent, State, battery_data
from controller.study.fleet.window import SERVE_USD_PER_TOKEN, Asked, Coming, Span, budgets, problem
from controller.units import SECONDS_PER_HOUR

DEFERRED_PRICE_FRAC = 0.1
"""Price of what may still wait, over that of what is due: it yields first."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happened in one step.

    Attributes:
        on: (K,) instances serving.
        sleeping: (K,) instances asleep.
        started: (K,) instances started or woken for this step.
        rates: (R, K) output tokens/s.
        load_w: (C,) what the sites take.
        import_w: (C,) what they draw from the grid.
        pv_w, charge_w, discharge_w: (C,) from photovoltaics, into and out of the batteries.
        soc_wh: (C,) in the batteries at its end.
        waiting_tokens: (R,) at its end.
        late_tokens: (R,) of these, those that were due in it.
    """

    on: np.ndarray
    sleeping: np.ndarray
    started: np.ndarray
    rates: np.ndarray
    load_w: np.ndarray
    import_w: np.ndarray
    pv_w: np.ndarray
    charge_w: np.ndarray
    discharge_w: np.ndarray
    soc_wh: np.ndarray
    waiting_tokens: np.ndarray
    late_tokens: np.ndarray


@dataclass(frozen=True, slots=True)
class Flows:
    """What a step sends where.

    Attributes:
        rates: (R, K) output tokens/s.
        load_w: (C,) what the sites take, without their batteries.
        charge_w, discharge_w: (C,) that the batteries are to take and give.
    """

    rates: np.ndarray
    load_w: np.ndarray
    charge_w: np.ndarray
    discharge_w: np.ndarray


@dataclass(frozen=True, slots=True)
class Meter:
    """What passes a site's meter and stands behind it, W."""

    import_w: np.ndarray
    pv_w: np.ndarray
    charge_w: np.ndarray
    discharge_w: np.ndarray


def dispatched(case: FleetCase, planner: Planner, was_on: tuple[int, ...], now: State, t: int) -> tuple[Step, State]:
    """Send the step's real demand, and what waits and is to be served, over the instances that are on."""
    arrived = now.asked(case, t)
    charge_w, discharge_w = battery_powers(case, arrived)
    data = _dispatch_problem(case, arrived, t, charge_w, discharge_w)
    plan: Plan = planner.dispatch(data, now.on)
    rates = np.array(rates_of(plan))[:, :, 0]
    load_w = np.array([site.power_w[0] for site in plan.sites]) - charge_w
    return after(case, arrived, was_on, t, Flows(rates, load_w, charge_w, discharge_w))


def after(case: FleetCase, state: State, was_on: tuple[int, ...], t: int, flows: Flows) -> tuple[Step, State]:
    """The step in which so much was served, and the state it leaves.

    Args:
        case: the whole.
        state: with the step's demand in its queues.
        was_on: instances of each pool in the step before.
        t: the step.
        flows: what it sends where.
    """
    served = flows.rates.sum(axis=1) * case.step_s
    queues = tuple(queue.served(float(tokens)) for queue, tokens in zip(state.queues, served, strict=True))
    meter = metered(case, t, flows)
    soc_wh = _stored(case, state, meter)
    lost = (flows.rates * np.array(case.quality_loss_frac)).sum(axis=1) * case.step_s
    burns = tuple(
        burn if burn is None else burn.with_tokens(case.start_s + t * case.step_s, tokens, float(each))
        for burn, tokens, each in zip(state.burns, served, lost, strict=True)
    )
    on = np.array(state.on)
    step = Step(
        on=on,
        sleeping=np.array(state.sleeping),
        started=np.zeros_like(on) if state.is_new else np.clip(on - np.array(was_on), 0, None),
        rates=flows.rates,
        load_w=flows.load_w,
        import_w=meter.import_w,
        pv_w=meter.pv_w,
        charge_w=meter.charge_w,
        discharge_w=meter.discharge_w,
        soc_wh=np.array(soc_wh),
        waiting_tokens=np.array([queue.tokens for queue in queues]),
        late_tokens=np.array([queue.due_tokens(t) - queue.due_tokens(t - 1) for queue in queues]),
    )
    return step, replace(state, queues=queues, soc_wh=soc_wh, burns=burns, is_new=False)


def metered(case: FleetCase, t: int, flows: Flows) -> Meter:
    """What passes the meters: photovoltaics first, then the battery as planned, nothing fed into the grid."""
    taken_w = flows.load_w + flows.charge_w
    given_w = np.array([0.0 if site.pv_w is None else site.pv_w[t] for site in case.sites])
    pv_w = np.minimum(given_w, taken_w)
    discharge_w = np.minimum(flows.discharge_w, taken_w - pv_w)
    return Meter(taken_w - pv_w - discharge_w, pv_w, flows.charge_w, discharge_w)


def battery_powers(case: FleetCase, state: State) -> tuple[np.ndarray, np.ndarray]:
    """What the batteries are to do in this step: as planned, as far as they hold and have room for it."""
    charge_w, discharge_w = np.zeros(len(case.sites)), np.zeros(len(case.sites))
    if state.intent is None:
        return charge_w, discharge_w
    for c, site in enumerate(case.sites):
        if site.battery is None:
            continue
        battery = battery_data(site.battery, state.soc_wh[c])
        room_w = (battery.capacity_wh - battery.soc_wh) / stored_wh_per_w(battery, case.step_s)
        held_w = (battery.soc_wh - battery.min_wh) / taken_wh_per_w(battery, case.step_s)
        charge_w[c] = min(state.intent.charge_w[c], max(0.0, room_w))
        discharge_w[c] = min(state.intent.discharge_w[c], max(0.0, held_w))
    return charge_w, discharge_w


def _stored(case: FleetCase, state: State, meter: Meter) -> tuple[float, ...]:
    hours, out = case.step_s / SECONDS_PER_HOUR, []
    for c, site in enumerate(case.sites):
        if site.battery is None:
            out.append(0.0)
            continue
        gained_wh = hours * site.battery.charge_frac * meter.charge_w[c]
        taken_wh = hours * meter.discharge_w[c] / site.battery.discharge_frac
        out.append(float(state.soc_wh[c] + gained_wh - taken_wh))
    return tuple(out)


def _dispatch_problem(
    case: FleetCase, state: State, t: int, charge_w: np.ndarray, discharge_w: np.ndarray
) -> ProblemData:
    """The problem of one step: the batteries' planned powers count as load and as photovoltaics."""
    span = Span(t, 1, 1)
    data = problem(case, span, state, Asked(np.zeros((len(case.classes), 1)), fixed=True))
    sites = tuple(
        replace(
            site,
            aux_w=site.aux_w + charge_w[c],
            pv_w=(float((site.pv_w or (0.0,))[0] + discharge_w[c]),) if case.sites[c].has_assets else (),
            battery=None,
        )
        for c, site in enumerate(data.sites)
    )
    return replace(
        data,
        horizon=Horizon(data.horizon.start_s, case.step_s, 1),
        sites=sites,
        classes=tuple(_class(case, r, cls, state, t) for r, cls in enumerate(data.classes)),
    )


def _class(case: FleetCase, r: int, data: ClassData, state: State, t: int) -> ClassData:
    """What a class is to be served in a step: what is due, and of what may wait as much as the plan serves."""
    queue, intent = state.queues[r], state.intent
    due = queue.due_tokens(t)
    tokens = queue.tokens
    if case.classes[r].defer_steps >= case.plan_per and intent is not None:
        tokens = min(tokens, max(due, float(intent.rates[r]) * case.step_s))
    price = SERVE_USD_PER_TOKEN if due > 0 else DEFERRED_PRICE_FRAC * SERVE_USD_PER_TOKEN
    called = case.is_called[t : t + 1]
    horizon_s = case.plan.steps * case.plan.step_s
    asked = max(tokens, float(case.classes[r].demand_tokens_per_s[t]) * horizon_s)
    coming = Coming(called, asked, case.start_s + t * case.step_s + horizon_s)
    return replace(
        data,
        demand_tokens_per_s=(tokens / case.step_s,),
        quality_budget_frac=budgets(case.classes[r].quality_budget_frac, state.burns[r], coming),
        defer_steps=0,
        backlog_tokens_per_s=(),
        serve_usd_per_token=price,
    )


def intent_of(plan: Plan) -> Intent:
    """What a plan's first interval means for the steps within it."""
    rates = np.array([sum(row[0] for row in rows) for rows in rates_of(plan)])
    charge_w, discharge_w = (
        np.array([series[0] if (series := getattr(site, name)) else 0.0 for site in plan.sites])
        for name in ("charge_w", "discharge_w")
    )
    return Intent(rates, charge_w, discharge_w)
