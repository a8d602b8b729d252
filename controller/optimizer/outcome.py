"""What follows from instances and token rates: moves, usable capacity, power, cost and broken promises. No solver.

Every plan, whoever made it, is completed here, so that its predictions mean the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.model.plan import Horizon, Plan, PlanOrigin, PoolPlan, SitePlan, Slack
from controller.optimizer.data import PoolData, ProblemData, SiteData
from controller.optimizer.onsite import (
    Flows,
    Powers,
    flows_by_rule,
    imports_w,
    reward_usd,
    soc_wh,
    wear_usd,
)
from controller.optimizer.promises import (
    headroom_used,
    over_limit_w,
    over_quality,
    over_ramp_w,
    over_spare,
    short_wh,
    unserved,
)
from controller.optimizer.spare import Rates, Serving
from controller.units import SECONDS_PER_HOUR

Counts = tuple[tuple[int, ...], ...]
"""[k][t], instances."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Instances that change state at an interval's start, one entry an interval."""

    wakes: tuple[int, ...]
    starts: tuple[int, ...]
    sleeps: tuple[int, ...]
    stops: tuple[int, ...]


def moves(pool: PoolData, on: tuple[int, ...], sleeping: tuple[int, ...]) -> Moves:
    """The fewest moves that lead through the given counts from the present ones."""
    wakes, starts, sleeps, stops = [], [], [], []
    on_before, sleeping_before = pool.on_now, pool.sleeping_now
    for on_t, sleeping_t in zip(on, sleeping, strict=True):
        appear = (on_t + sleeping_t) - (on_before + sleeping_before)
        start, stop = max(0, appear), max(0, -appear)
        rise = on_t - on_before - start
        starts.append(start)
        stops.append(stop)
        wakes.append(max(0, rise))
        sleeps.append(max(0, -rise))
        on_before, sleeping_before = on_t, sleeping_t
    return Moves(tuple(wakes), tuple(starts), tuple(sleeps), tuple(stops))


def lost_share(latency_s: float, dt_s: float, lag: int) -> float:
    """Share of the interval `lag` intervals after a wake or start that passes before the instance serves."""
    return min(1.0, max(0.0, latency_s / dt_s - lag))


def usable(data: ProblemData, k: int, on: tuple[int, ...], moved: Moves) -> tuple[float, ...]:
    """Instances of pool k that serve, per interval: those on, less the time lost to wakes and starts."""
    pool, dt_s = data.pools[k], data.horizon.dt_s
    reach = math.ceil(max(pool.wake_s, pool.start_s) / dt_s)
    out = []
    for t, count in enumerate(on):
        lost = pool.late[t]
        for lag in range(min(reach, t + (not data.from_scratch))):
            lost += moved.wakes[t - lag] * lost_share(pool.wake_s, dt_s, lag)
            lost += moved.starts[t - lag] * lost_share(pool.start_s, dt_s, lag)
        out.append(max(0.0, count - lost))
    return tuple(out)


def most_busy(data: ProblemData, serving: float, on: int) -> float:
    """Engine time that may be used of a pool, headroom included, instances."""
    return data.utilisation_frac * serving + max(0.0, data.peak_frac - data.utilisation_frac) * on


def serving_of(data: ProblemData, on: Counts, sleeping: Counts) -> Serving:
    """[k][t], instances that serve."""
    return tuple(usable(data, k, on[k], moves(pool, on[k], sleeping[k])) for k, pool in enumerate(data.pools))


def power_w(data: ProblemData, on: Counts, sleeping: Counts, rates: Rates) -> Powers:
    """Predicted power of each site's load; the equation of `terms.power.site_power`."""
    steps = range(len(on[0]))
    it_w = [[site.spare_w for _ in steps] for site in data.sites]
    for k, pool in enumerate(data.pools):
        used = [(data.j_per_token[r][k], row[k]) for r, row in enumerate(rates) if any(row[k])]
        at_site_w = it_w[pool.site]
        for t in steps:
            off = pool.instances - on[k][t] - sleeping[k][t]
            at_site_w[t] += pool.p0_w * on[k][t] + pool.sleeping_w * sleeping[k][t] + pool.off_w * off
            at_site_w[t] += sum(joules * cell[t] for joules, cell in used)
    return tuple(
        tuple(site.pue * watts + site.aux_w + site.bias_w for watts in at_site_w)
        for site, at_site_w in zip(data.sites, it_w, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from instances, token rates and the flows of assets.

    Attributes:
        powers: [c][t] of the sites' loads.
        drawn: [c][t] drawn from the grid.
        held_wh: [c] energy in the site's battery at the intervals' edges; () without one.
    """

    on: Counts
    sleeping: Counts
    rates: Rates
    serving: Serving
    powers: Powers
    drawn: Powers
    flows: Flows
    held_wh: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, data: ProblemData, on: Counts, sleeping: Counts, rates: Rates, flows: Flows | None = None) -> Outcome:
        """The outcome; flows that nobody chose follow a rule."""
        powers = power_w(data, on, sleeping, rates)
        flows = flows or flows_by_rule(data, powers)
        held_wh = tuple(
            () if site.battery is None else soc_wh(site.battery, data.horizon.dt_s, charge_w, discharge_w)
            for site, charge_w, discharge_w in zip(data.sites, flows.charge_w, flows.discharge_w, strict=True)
        )
        serving = serving_of(data, on, sleeping)
        return cls(on, sleeping, rates, serving, powers, imports_w(powers, flows), flows, held_wh)


def slack(data: ProblemData, outcome: Outcome) -> tuple[Slack, ...]:
    """Promises that are not kept, each at its worst interval."""
    rates, out = outcome.rates, []
    for r, cls in enumerate(data.classes):
        out.append(Slack("serve", cls.class_id, max(unserved(data, rates, r)), "tokens/s"))
        out.append(Slack("quality", cls.class_id, max(over_quality(data, rates, r)), "loss·tokens/s"))
    for site, drawn_w in zip(data.sites, outcome.drawn, strict=True):
        over_w = max(over_limit_w(site, watts, t) for t, watts in enumerate(drawn_w))
        out.append(Slack("limit", site.site_id, over_w, "W"))
    for k, pool in enumerate(data.pools):
        out.append(Slack("headroom", str(pool.pool_id), headroom_used(data, k, outcome.serving, rates), "instances"))
    for r, cls in enumerate(data.classes):
        out.append(Slack("redundancy", cls.class_id, over_spare(data, r, outcome.serving, rates), "tokens/s"))
    for c, site in enumerate(data.sites):
        out.append(Slack("ramp", site.site_id, over_ramp_w(site, outcome.drawn[c]), "W"))
        out.append(Slack("final_soc", site.site_id, short_wh(data, c, outcome.held_wh[c]), "Wh"))
    return tuple(each for each in out if each.amount > 0)


def running_cost_usd(data: ProblemData, outcome: Outcome) -> float:
    """Energy, carbon, quality, requests moved, switching, wear, less the response's reward.

    What is not served or over a limit has no place in a bill.
    """
    cost = wear_usd(data, outcome.flows) - reward_usd(data, outcome.drawn)
    for drawn_w, prices in zip(outcome.drawn, data.energy_usd_per_w, strict=True):
        cost += sum(w * usd for w, usd in zip(drawn_w, prices, strict=False))
    for r, cls in enumerate(data.classes):
        for k, (loss, row) in enumerate(zip(data.losses(r), outcome.rates[r], strict=True)):
            per_token = cls.quality_usd_per_mtoken * 1e-6 * loss
            per_token += data.move_usd_per_token[r][k] if data.move_usd_per_token and data.allowed[r][k] else 0.0
            cost += per_token * sum(row) * data.horizon.dt_s
    first = int(data.from_scratch)
    for k, pool in enumerate(data.pools):
        moved = moves(pool, outcome.on[k], outcome.sleeping[k])
        cost += pool.start_usd * (sum(moved.wakes[first:]) + sum(moved.starts[first:]))
    return cost


def assemble(
    data: ProblemData,
    origin: PlanOrigin,
    on: Counts,
    sleeping: Counts,
    rates: Rates,
    *,
    flows: Flows | None = None,
    gap_frac: float | None = None,
    solve_s: float = 0.0,
) -> Plan:
    """A plan with its predicted power, cost and broken promises.

    The counts and rates may cover fewer intervals than the problem; the plan then has as many. Assets whose flows
    nobody chose follow a rule.
    """
    outcome = Outcome.of(data, on, sleeping, rates, flows)
    return Plan(
        horizon=Horizon(data.horizon.start_s, data.horizon.dt_s, len(on[0])),
        origin=origin,
        sites=tuple(_site_plan(site, c, outcome) for c, site in enumerate(data.sites)),
        pools=tuple(
            PoolPlan(
                pool.pool_id,
                on[k],
                sleeping[k],
                tuple((cls.class_id, rates[r][k]) for r, cls in enumerate(data.classes)),
            )
            for k, pool in enumerate(data.pools)
        ),
        cost_usd=running_cost_usd(data, outcome),
        slack=slack(data, outcome),
        gap_frac=gap_frac,
        solve_s=solve_s,
    )


def _site_plan(site: SiteData, c: int, outcome: Outcome) -> SitePlan:
    has_battery = site.battery is not None
    return SitePlan(
        site_id=site.site_id,
        power_w=outcome.powers[c],
        limit_w=site.limit_w[: len(outcome.powers[c])],
        import_w=outcome.drawn[c],
        pv_w=outcome.flows.pv_w[c] if site.pv_w else (),
        charge_w=outcome.flows.charge_w[c] if has_battery else (),
        discharge_w=outcome.flows.discharge_w[c] if has_battery else (),
        soc_wh=outcome.held_wh[c],
    )


def retold(data: ProblemData, plan: Plan) -> Plan:
    """The same instances, token rates and flows with what they mean for another problem, e.g. another limit."""
    return assemble(
        data,
        plan.origin,
        tuple(pool.on for pool in plan.pools),
        tuple(pool.sleeping for pool in plan.pools),
        rates_of(plan),
        flows=flows_of(plan),
        gap_frac=plan.gap_frac,
        solve_s=plan.solve_s,
    )


def least_power_w(data: ProblemData) -> tuple[float, ...]:
    """Power of each site's load with the present instances and without a token."""
    idle = tuple(tuple((0.0,) for _ in data.pools) for _ in data.classes)
    on = tuple((pool.on_now,) for pool in data.pools)
    return tuple(site_w for (site_w,) in power_w(data, on, tuple((p.sleeping_now,) for p in data.pools), idle))


def rates_of(plan: Plan) -> Rates:
    """[r][k][t] token rates of a plan."""
    classes = range(len(plan.pools[0].output_tokens_per_s))
    return tuple(tuple(pool.output_tokens_per_s[r][1] for pool in plan.pools) for r in classes)


def flows_of(plan: Plan) -> Flows:
    """What a plan does with the sites' assets."""
    zeros = (0.0,) * plan.horizon.steps
    return Flows(
        tuple(site.pv_w or zeros for site in plan.sites),
        tuple(site.charge_w or zeros for site in plan.sites),
        tuple(site.discharge_w or zeros for site in plan.sites),
    )


def energy_kwh(plan: Plan) -> float:
    """Energy that a plan draws from the grid."""
    return sum(plan.import_w) / 1000.0 * plan.horizon.dt_s / SECONDS_PER_HOUR
