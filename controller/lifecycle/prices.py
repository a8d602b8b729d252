"""Prices of broken promises, so that promises yield in the declared order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.ramps import Ramps, step_w, steps_to_cross
from controller.model.fleet import Site
from controller.model.grid import Precedence
from controller.optimizer.workload import Lengths, j_per_token

TRICKLE_TOKENS_PER_S = 1.0
"""A class this small still gets an instance to itself rather than being left unserved for the price of energy."""
PRICE_DISTANCE = 10.0
"""How far the prices of broken promises stand above what keeping them can cost."""
RAMPED = 2.0
"""The same of a ramp, for each interval over which a step beyond it is felt."""
LIMITED = 2.0
"""How far a watt over a limit for one interval is dearer than one beyond a ramp."""
WAITING = 1e-3
"""Most worth of a class that may wait over that of the least that may not: it waits before any loses quality."""
DEARER = 3.0
"""Least worth of a class over that of one of lower priority."""
DEGRADED = 0.1
"""Price of a token at the largest loss over that of not serving one: a few served may cost the quality of many."""
ROOM = 0.004
"""Price of room in an engine for a token over that of not serving the least worth."""
LEAST_USD_PER_J = 1e-9
"""Least price of energy, USD/J, for that of a ramp."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What the prices have to outbid.

    Attributes:
        dearest_usd_per_j: largest cost of a joule over the horizon, emissions included.
        lengths: mean request of each class.
        ramps: bounds on the steps of power.
    """

    dearest_usd_per_j: float
    lengths: tuple[Lengths, ...]
    ramps: Ramps


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of broken promises, as in `controller.optimizer.data`; `serve` is of each class, USD/token."""

    serve: tuple[float, ...]
    limit_usd_per_j: float
    quality_usd_per_token: float
    headroom_usd_per_s: float
    ramp_usd_per_w: float


def promise_prices(site: Site, policy: TickPolicy, costs: Costs) -> Prices:
    """Prices far above the energy that breaking a promise could save, and in the declared order.

    Serving is worth more than the energy of an instance kept for a trickle. Quality beyond the budget costs less than
    not serving a class that may not wait, and more than letting one wait; headroom less than either. A joule over the
    limit costs more than the tokens it decodes where the contract comes first, and less than the trickle's tokens where
    the classes do.
    """
    contract = policy.precedence is Precedence.CONTRACT
    trickle_j = site.pue * max(pool.curves.p0_w for pool in site.pools) / TRICKLE_TOKENS_PER_S
    serve = _serve(site, policy, costs, trickle_j)
    firm = [usd for cls, usd in zip(site.classes, serve, strict=True) if not cls.may_wait]
    firm_usd = min(firm, default=max(serve) / WAITING)
    loss = max((each for row in site.losses for each in row), default=0.0)
    lengths = costs.lengths
    least_j = site.pue * min(max(0.01, j_per_token(pool.curves, length)) for pool in site.pools for length in lengths)
    fastest = max(1.0 / (pool.curves.step_per_seq_s or 1.0) for pool in site.pools)
    dearest_usd = max(*serve, firm_usd)
    limit_usd_per_j = 2.0 * dearest_usd / least_j if contract else min(serve) / trickle_j / 2.0
    ramp_usd_per_j = _ramp_usd_per_j(site, policy, costs, dearest_usd / least_j)
    if contract and costs.ramps.bind:
        limit_usd_per_j = max(limit_usd_per_j, LIMITED * ramp_usd_per_j)
    return Prices(
        serve=serve,
        limit_usd_per_j=limit_usd_per_j,
        quality_usd_per_token=DEGRADED * firm_usd / max(loss, 1e-3),
        headroom_usd_per_s=ROOM * min(serve) * fastest,
        ramp_usd_per_w=ramp_usd_per_j * policy.step_s,
    )


def _serve(site: Site, policy: TickPolicy, costs: Costs, trickle_j: float) -> tuple[float, ...]:
    """Prices of a token that is not served, by class: its worth, or more where that would not outbid energy.

    Routers serve a class of higher priority first, whatever others are worth, so it is worth at least `DEARER` times
    any of lower priority; those that may wait are worth at most `WAITING` of any that may not.
    """
    worth = _by_priority(site)
    least = PRICE_DISTANCE * costs.dearest_usd_per_j * trickle_j
    if costs.ramps.bind and policy.precedence is Precedence.QOS:
        least = max(least, 2.0 * LIMITED * _ramp_usd_per_j(site, policy, costs, 0.0) * trickle_j)
    scale = max(1.0, least / min(worth))
    return tuple(usd * scale for usd in worth)


def _by_priority(site: Site) -> list[float]:
    """Worth of a token of each class, USD: what it is said to be, as far as the order of priorities leaves it that."""
    said = [max(1e-9, cls.serve_usd_per_mtoken * 1e-6) for cls in site.classes]
    priorities = sorted({cls.priority for cls in site.classes})
    times, below_usd = dict.fromkeys(priorities, 1.0), 0.0
    for priority, next_priority in pairwise([*priorities, math.inf]):
        usd = [each for cls, each in zip(site.classes, said, strict=True) if cls.priority == priority]
        times[int(priority)] = max(1.0, below_usd / min(usd))
        apart = 1.0 / WAITING if priority < 0 <= next_priority else DEARER
        below_usd = times[int(priority)] * max(usd) * apart
    as_said = min((priority for priority in priorities if priority >= 0), default=priorities[0])
    return [usd * times[cls.priority] / times[as_said] for cls, usd in zip(site.classes, said, strict=True)]


def _ramp_usd_per_j(site: Site, policy: TickPolicy, costs: Costs, token_usd_per_j: float) -> float:
    """Price of a watt beyond a ramp over one interval.

    A watt beyond a ramp is felt until the ramp has caught up. Where the contract comes first it costs more than the
    tokens it decodes for as long, else more than its energy and the moves of instances that avoid it.
    """
    felt = RAMPED * steps_to_cross(site, costs.ramps, policy.steps)
    if policy.precedence is Precedence.CONTRACT:
        return felt * token_usd_per_j
    move_usd = max(pool.start_usd for pool in site.pools)
    moved_j = policy.step_s * min(step_w(site, pool) for pool in site.pools)
    return felt * max(costs.dearest_usd_per_j, LEAST_USD_PER_J) + PRICE_DISTANCE * move_usd / max(1.0, moved_j)
