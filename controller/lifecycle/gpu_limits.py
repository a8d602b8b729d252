"""Which pools' GPUs are limited now: those whose limit is fixed, and in an event that is not kept one after another.

A limit on GPUs is the last means: what the plan can do, it does first. Nothing here waits for the limit to be effective
on paper, for the curves do not know of it; only measured power counts, and power that is missing is not over anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.gpu_limit import GpuLimit, When
from router.contract import PoolId

HOLD_S = 15.0
"""How long the site must draw too much, while no instance is on its way, before the next pool is limited."""
PATIENCE_S = 120.0
"""The same while instances are on their way."""


@dataclass(frozen=True, slots=True)
class SiteSeen:
    """What is known at a moment.

    Attributes:
        acts: whether commands are carried out.
        limit_w: of the events in force that outrank the classes; None without one.
        drawn_w: measured at the meter; None where that is not known.
        is_moving: whether instances drain, sleep or wake.
    """

    now_s: float
    acts: bool
    limit_w: float | None
    drawn_w: float | None
    is_moving: bool


@dataclass(frozen=True, slots=True)
class Engaged:
    """What is remembered.

    Attributes:
        pools: limited as the last means, in the order in which they were.
        over_since_s: since when too much is drawn; None while it is not.
        still_since_s: the same, since no instance is on its way any more.
    """

    pools: tuple[PoolId, ...] = ()
    over_since_s: float | None = None
    still_since_s: float | None = None


def step(engaged: Engaged, limits: tuple[GpuLimit, ...], seen: SiteSeen) -> Engaged:
    """What is limited now as the last means; `limits` stand in the order in which they are.

    Once limited a pool stays so until no event is in force: what it then draws is what makes the limit hold.
    """
    if not seen.acts or seen.limit_w is None:
        return Engaged()
    if seen.drawn_w is None or seen.drawn_w <= seen.limit_w:
        return Engaged(engaged.pools)
    over_s = seen.now_s if engaged.over_since_s is None else engaged.over_since_s
    still_s = None if seen.is_moving else (seen.now_s if engaged.still_since_s is None else engaged.still_since_s)
    after = replace(engaged, over_since_s=over_s, still_since_s=still_s)
    is_due = seen.now_s - over_s >= PATIENCE_S or (still_s is not None and seen.now_s - still_s >= HOLD_S)
    left = [each.pool_id for each in limits if each.when is When.OVER_LIMIT and each.pool_id not in engaged.pools]
    return Engaged((*engaged.pools, left[0])) if is_due and left else after


def wanted(engaged: Engaged, limits: tuple[GpuLimit, ...], *, acts: bool) -> tuple[GpuLimit, ...]:
    """The limits that are to be in force."""
    return tuple(each for each in limits if acts and (each.when is When.FIXED or each.pool_id in engaged.pools))
