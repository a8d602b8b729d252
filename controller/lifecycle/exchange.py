"""Exchanging instances under a limit: those that come wait until others have gone, and tokens wait with them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import and_, mul

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
        waits_s: [k], how long what comes waits for what goes; 0 where there is room for it. () where nothing waits.
        served_tokens_per_s: [r], output tokens that the plan in force serves of a class now; None where it cannot come
            true, as a site that stays over its limit must move anyhow.
        on: [k], instances that it has serving now.
    """

    waits_s: tuple[float, ...] = ()
    served_tokens_per_s: tuple[float, ...] | None = None
    on: tuple[int, ...] = ()

    def wait_of_s(self, k: int) -> float:
        """How long an instance of pool k waits for what goes."""
        return self.waits_s[k] if self.waits_s else 0.0


NO_EXCHANGE = Exchange()


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
        drawn_w: at the meter, once what drains has gone.
    """
    if most_w is None:
        return NO_EXCHANGE
    waits_s = tuple(policy.drain_expected_s if drawn_w + step_w(site, pool) > most_w else 0.0 for pool in site.pools)
    if not any(waits_s):
        return NO_EXCHANGE
    if plan is None or drawn_w > most_w:
        return Exchange(waits_s)
    step = step_of(plan, now_s)
    served = tuple(sum(cell[step] for cell in row) for row in rates_of(plan))
    return Exchange(waits_s, served, tuple(pool.on[step] for pool in plan.pools))


def exchange_usd(
    site: Site, exchange: Exchange, serve_usd_per_token: Sequence[float], capacities: Sequence[float]
) -> tuple[float, ...]:
    """Price of bringing up an instance of each pool: what the tokens are worth that nobody serves until it does.

    That they are not served is in the plan already, on the mean of an interval. The price asks as much once more of
    what an exchange gains, which rests on a demand that is foreseen. The classes of least worth lose their tokens
    first: as many as the instance could serve, or all that those serve that must go to make room, if that is more.

    Args:
        site: the fleet.
        exchange: what it takes.
        serve_usd_per_token: [r], worth of a served token.
        capacities: [k], output tokens/s of an instance.
    """
    served = exchange.served_tokens_per_s
    if served is None:
        return (0.0,) * len(site.pools)
    by_worth = sorted(zip(serve_usd_per_token, served, strict=True))
    unused = max(0.0, sum(map(mul, exchange.on, capacities)) - sum(served))
    prices = []
    for k, pool in enumerate(site.pools):
        if exchange.wait_of_s(k) == 0.0:
            prices.append(0.0)
            continue
        gone = max(capacities[k], _going_tokens_per_s(site, exchange, k, capacities) - unused)
        prices.append((exchange.waits_s[k] + pool.curves.wake_s) * _lost_usd_per_s(by_worth, gone))
    return tuple(prices)


def while_full(limits_w: Sequence[float | None]) -> tuple[bool, ...]:
    """[t], whether a site that its first limit leaves no room has none yet: no interval until then has had more.

    Args:
        limits_w: an interval each, None where there is none.
    """
    at_most_w = limits_w[0]
    return tuple(
        accumulate(
            (limit_w is not None and at_most_w is not None and limit_w <= at_most_w for limit_w in limits_w), and_
        )
    )


def _going_tokens_per_s(site: Site, exchange: Exchange, k: int, capacities: Sequence[float]) -> float:
    """Output tokens/s of the fewest instances of another pool that free the power of one of pool k.

    Where no pool has enough of them, those of all the others.
    """
    needed_w = site.pools[k].curves.p0_w
    others = [(j, pool) for j, pool in enumerate(site.pools) if j != k and exchange.on[j] > 0 and not pool.is_held]
    needed = [(j, math.ceil(needed_w / pool.curves.p0_w)) for j, pool in others]
    going = [count * capacities[j] for j, count in needed if count <= exchange.on[j]]
    return min(going, default=sum(exchange.on[j] * capacities[j] for j, _ in others))


def _lost_usd_per_s(by_worth: Sequence[tuple[float, float]], tokens_per_s: float) -> float:
    """Worth of tokens that are not served, of (worth in USD/token, served tokens/s) from the least worth on.

    Beyond all that is served they count as the least, as nobody loses them.
    """
    least = next((usd for usd, served in by_worth if served > 0.0), 0.0)
    lost_usd = 0.0
    for usd, served in by_worth:
        taken = min(served, tokens_per_s)
        lost_usd += usd * taken
        tokens_per_s -= taken
    return lost_usd + least * tokens_per_s


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
