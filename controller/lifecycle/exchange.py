"""Exchanging instances under a limit: those that come wait until others have gone, and tokens wait with them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.lifecycle.ladder import step_of
from controller.lifecycle.memory import Phase
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.ramps import step_w
from controller.lifecycle.views import View
from controller.model.fleet import Site
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.dispatch import first_interval
from controller.optimizer.outcome import least_power_w, rates_of


@dataclass(frozen=True, slots=True)
class Exchange:
    """What it takes to exchange instances where the limit leaves no room for both.

    Attributes:
        waits_s: how long what comes waits for what goes.
        served: [r], whether the plan in force serves a class now; None where it has not come true yet, as a site that
            is over its limit must move anyhow.
    """

    waits_s: float
    served: tuple[bool, ...] | None = None


NO_EXCHANGE = Exchange(0.0)


def exchange_of(
    site: Site, policy: TickPolicy, plan: Plan | None, now_s: float, *, most_w: float | None, drawn_w: float
) -> Exchange:
    """What an exchange takes now.

    Args:
        site: the fleet.
        policy: tells how long a drain takes.
        plan: in force.
        now_s: wall clock.
        most_w: the limit in force less its margin, None without one.
        drawn_w: at the meter.
    """
    if most_w is None or drawn_w + min(step_w(site, pool) for pool in site.pools) <= most_w:
        return NO_EXCHANGE
    if plan is None or drawn_w > most_w:
        return Exchange(policy.drain_expected_s)
    step = step_of(plan, now_s)
    return Exchange(policy.drain_expected_s, tuple(any(cell[step] > 0 for cell in row) for row in rates_of(plan)))


def exchange_usd(
    site: Site, exchange: Exchange, serve_usd_per_token: Sequence[float], capacities: Sequence[float]
) -> tuple[float, ...]:
    """Price of bringing up an instance of each pool: what the tokens are worth that nobody serves until it does.

    That they are not served is in the plan already. The price asks as much once more of what an exchange gains, which
    rests on a demand that is foreseen. A token is worth what the cheapest of the classes is worth that are served.

    Args:
        site: the fleet.
        exchange: what it takes.
        serve_usd_per_token: [r], worth of a served token.
        capacities: [k], output tokens/s of an instance.
    """
    if exchange.served is None:
        return (0.0,) * len(site.pools)
    worth = [usd for usd, is_served in zip(serve_usd_per_token, exchange.served, strict=True) if is_served]
    return tuple(
        (exchange.waits_s + pool.curves.wake_s) * capacity * min(worth, default=0.0)
        for pool, capacity in zip(site.pools, capacities, strict=True)
    )


def coming_up_w(site: Site, views: tuple[View, ...], doubts_w: Sequence[float]) -> float:
    """Power at the meter that instances on their way up will take, at most, beyond what a dispatch counts for them."""
    waking = [view for view in views if view.intent.phase is Phase.WAKE]
    doubts = doubts_w or (0.0,) * len(site.pools)
    curves = [(view.pool.curves, doubts[view.pool_index]) for view in waking]
    return site.pue * sum(each.p0_w + doubt_w - each.off_w for each, doubt_w in curves)


def with_room_for(data: ProblemData, watts: float, serving: tuple[int, ...]) -> ProblemData:
    """The problem whose present limits leave so much room for what comes, as far as fewer tokens can make it."""
    if watts <= 0.0:
        return data
    least = least_power_w(first_interval(data, serving))
    sites = []
    for site, least_w in zip(data.sites, least, strict=True):
        now_w = site.limit_w[0]
        if now_w is not None:
            site = replace(site, limit_w=(min(now_w, max(least_w, now_w - watts)), *site.limit_w[1:]))
        sites.append(site)
    return replace(data, sites=tuple(sites))
