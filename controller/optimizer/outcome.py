"""What follows from instances and token rates: moves, usable capacity, power, cost and broken promises. No solver.

Every plan, whoever made it, is completed here, so that its predictions mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.plan import Horizon, Plan, PlanOrigin, PoolPlan, SitePlan, Slack
from controller.optimizer.data import PoolData, ProblemData, SiteData
from controller.units import SECONDS_PER_HOUR

TOKENS_TOLERANCE = 1e-3
"""Token rates closer than this are equal, tokens/s; also the share of a rate below which a difference is numeric."""
POWER_TOLERANCE_W = 0.5
BUSY_TOLERANCE = 1e-4
"""Engine time, instances."""

Counts = tuple[tuple[int, ...], ...]
"""[k][t], instances."""
Rates = tuple[tuple[tuple[float, ...], ...], ...]
"""[r][k][t], output tokens/s."""
Powers = tuple[tuple[float, ...], ...]
"""[c][t], W at the sites' meters."""


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
    out = []
    for t, count in enumerate(on):
        lost = pool.late[t]
        for lag in range(t + (not data.from_scratch)):
            lost += moved.wakes[t - lag] * lost_share(pool.wake_s, dt_s, lag)
            lost += moved.starts[t - lag] * lost_share(pool.start_s, dt_s, lag)
        out.append(max(0.0, count - lost))
    return tuple(out)


def most_busy(data: ProblemData, serving: float, on: int) -> float:
    """Engine time that may be used of a pool, headroom included, instances."""
    return data.utilisation_frac * serving + max(0.0, data.peak_frac - data.utilisation_frac) * on


def headroom_used(data: ProblemData, plan: Plan) -> tuple[tuple[str, float], ...]:
    """Engine time beyond η of each pool at its worst interval, instances; pools that stay within it are left out."""
    out = []
    rates = rates_of(plan)
    for k, (pool, planned) in enumerate(zip(data.pools, plan.pools, strict=True)):
        serving = usable(data, k, planned.on, moves(pool, planned.on, planned.sleeping))
        over = max(
            sum(data.busy_s_per_token[r][k] * rates[r][k][t] for r in range(len(data.classes)))
            - data.utilisation_frac * serving[t]
            for t in range(plan.horizon.steps)
        )
        if over > BUSY_TOLERANCE:
            out.append((str(pool.pool_id), over))
    return tuple(out)


def power_w(data: ProblemData, on: Counts, sleeping: Counts, rates: Rates) -> Powers:
    """Predicted power at each site's meter; the equation of `terms.power.site_power`."""
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


def unserved(data: ProblemData, rates: Rates, r: int, t: int) -> float:
    """Demand of a class that no pool serves, output tokens/s; 0 below the tolerance."""
    demand = data.classes[r].demand_tokens_per_s[t]
    missing = demand - sum(row[t] for row in rates[r])
    return missing if missing > TOKENS_TOLERANCE * max(1.0, demand) else 0.0


def over_quality(data: ProblemData, rates: Rates, r: int, t: int) -> float:
    """Loss·tokens/s of a class beyond its budget; 0 below the tolerance."""
    budget = data.classes[r].quality_budget_frac[t]
    excess = sum((pool.quality_loss_frac - budget) * row[t] for pool, row in zip(data.pools, rates[r], strict=True))
    return excess if excess > 1e-6 * max(1.0, sum(row[t] for row in rates[r])) else 0.0


def slack(data: ProblemData, rates: Rates, powers: Powers) -> tuple[Slack, ...]:
    """Promises that are not kept, each at its worst interval."""
    steps = range(len(powers[0]))
    out = []
    for r, cls in enumerate(data.classes):
        missing = max(unserved(data, rates, r, t) for t in steps)
        if missing > 0:
            out.append(Slack("serve", cls.class_id, missing, "tokens/s"))
        excess = max(over_quality(data, rates, r, t) for t in steps)
        if excess > 0:
            out.append(Slack("quality", cls.class_id, excess, "loss·tokens/s"))
    for site, site_w in zip(data.sites, powers, strict=True):
        over_w = max(over_limit_w(site, site_w[t], t) for t in steps)
        if over_w > 0:
            out.append(Slack("limit", site.site_id, over_w, "W"))
    return tuple(out)


def over_limit_w(site: SiteData, power_w: float, t: int) -> float:
    """Power of a site above its limit; 0 below the tolerance or without a limit."""
    limit = site.limit_w[t]
    return power_w - limit if limit is not None and power_w > limit + POWER_TOLERANCE_W else 0.0


def running_cost_usd(data: ProblemData, rates: Rates, powers: Powers, moved: tuple[Moves, ...]) -> float:
    """Energy, carbon, quality and switching; what is not served or over a limit has no place in a bill."""
    cost = 0.0
    for site_w, prices in zip(powers, data.energy_usd_per_w, strict=True):
        cost += sum(w * usd for w, usd in zip(site_w, prices, strict=False))
    for r, cls in enumerate(data.classes):
        for pool, row in zip(data.pools, rates[r], strict=True):
            cost += cls.quality_usd_per_mtoken * 1e-6 * pool.quality_loss_frac * sum(row) * data.horizon.dt_s
    first = int(data.from_scratch)
    for pool, each in zip(data.pools, moved, strict=True):
        cost += pool.start_usd * (sum(each.wakes[first:]) + sum(each.starts[first:]))
    return cost


def assemble(
    data: ProblemData,
    origin: PlanOrigin,
    on: Counts,
    sleeping: Counts,
    rates: Rates,
    *,
    gap_frac: float | None = None,
    solve_s: float = 0.0,
) -> Plan:
    """A plan with its predicted power, cost and broken promises.

    The counts and rates may cover fewer intervals than the problem; the plan then has as many.
    """
    steps = len(on[0])
    powers = power_w(data, on, sleeping, rates)
    moved = tuple(moves(pool, on[k], sleeping[k]) for k, pool in enumerate(data.pools))
    plan = Plan(
        horizon=Horizon(data.horizon.start_s, data.horizon.dt_s, steps),
        origin=origin,
        sites=tuple(
            SitePlan(site.site_id, site_w, site.limit_w[:steps])
            for site, site_w in zip(data.sites, powers, strict=True)
        ),
        pools=tuple(
            PoolPlan(
                pool.pool_id,
                on[k],
                sleeping[k],
                tuple((cls.class_id, rates[r][k]) for r, cls in enumerate(data.classes)),
            )
            for k, pool in enumerate(data.pools)
        ),
        cost_usd=running_cost_usd(data, rates, powers, moved),
        slack=slack(data, rates, powers),
        gap_frac=gap_frac,
        solve_s=solve_s,
    )
    used = tuple(Slack("headroom", pool_id, over, "instances") for pool_id, over in headroom_used(data, plan))
    return replace(plan, slack=(*plan.slack, *used))


def retold(data: ProblemData, plan: Plan) -> Plan:
    """The same instances and token rates with what they mean for another problem, e.g. another limit."""
    return assemble(
        data,
        plan.origin,
        tuple(pool.on for pool in plan.pools),
        tuple(pool.sleeping for pool in plan.pools),
        rates_of(plan),
        gap_frac=plan.gap_frac,
        solve_s=plan.solve_s,
    )


def least_power_w(data: ProblemData) -> tuple[float, ...]:
    """Power at each site's meter of the present instances without a token."""
    idle = tuple(tuple((0.0,) for _ in data.pools) for _ in data.classes)
    on = tuple((pool.on_now,) for pool in data.pools)
    return tuple(site_w for (site_w,) in power_w(data, on, tuple((p.sleeping_now,) for p in data.pools), idle))


def rates_of(plan: Plan) -> Rates:
    """[r][k][t] token rates of a plan."""
    classes = range(len(plan.pools[0].output_tokens_per_s))
    return tuple(tuple(pool.output_tokens_per_s[r][1] for pool in plan.pools) for r in classes)


def energy_kwh(plan: Plan) -> float:
    """Energy that a plan predicts at the meter."""
    return sum(plan.power_w) / 1000.0 * plan.horizon.dt_s / SECONDS_PER_HOUR
