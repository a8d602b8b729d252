"""What the plan itself lets yield under a limit, by its own prices of promises.

The least power tells what could be kept; which promises a called limit really costs is decided by the prices of the
tick's problem. So it is asked under just that limit what it breaks: who calls gets what was told.
"""

from __future__ import annotations

from dataclasses import replace

from controller.model.capability import QosCost
from controller.model.plan import Slack
from controller.optimizer.data import ProblemData

ROOM = ("headroom", "redundancy")
"""Promises that yield before a token of any class: room for queueing tails, for the loss of an instance."""


def yielding(least: ProblemData) -> ProblemData:
    """The problem of least power in which the room in the engines has no price."""
    return replace(least, headroom_usd_per_s=0.0)


def called(
    data: ProblemData,
    least: ProblemData,
    asked: tuple[tuple[float, float], ...],
    limit_w: float,
) -> ProblemData:
    """The problem of one interval as it is planned under a limit, with the tick's prices.

    Args:
        data: of the tick, for the prices.
        least: of least power, for what instances may do.
        asked: [r], output tokens/s, and the mean loss that a tick grants while it is called.
        limit_w: at the meter of each site.
    """
    sites = tuple(
        replace(
            site,
            limit_w=(limit_w,),
            price_usd_per_mwh=before.price_usd_per_mwh[:1],
            carbon_kg_per_mwh=before.carbon_kg_per_mwh[:1],
        )
        for site, before in zip(least.sites, data.sites, strict=True)
    )
    classes = tuple(
        replace(
            cls,
            demand_tokens_per_s=(tokens_per_s,),
            quality_budget_frac=(granted,),
            quality_usd_per_mtoken=before.quality_usd_per_mtoken,
        )
        for cls, before, (tokens_per_s, granted) in zip(least.classes, data.classes, asked, strict=True)
    )
    priced = replace(least, headroom_usd_per_s=data.headroom_usd_per_s, carbon_usd_per_kg=data.carbon_usd_per_kg)
    return replace(priced, sites=sites, classes=classes)


def refused(slack: tuple[Slack, ...], data: ProblemData, waits: tuple[bool, ...], cost: QosCost) -> tuple[Slack, ...]:
    """Broken promises that may not yield.

    Args:
        slack: what a plan breaks.
        data: what it answers.
        waits: [r], classes that may wait.
        cost: says which promises yield.
    """
    held = {cls.class_id for cls, may in zip(data.classes, waits, strict=True) if may}

    def yields(promise: str, subject: str) -> bool:
        if promise == "quality":
            return cost is QosCost.HELD
        return cost.gives_way and (promise in ROOM or (promise == "serve" and subject in held))

    return tuple(each for each in slack if not yields(each.promise, each.subject))


def names_of(slack: tuple[Slack, ...]) -> tuple[str, ...]:
    """As ``promise:subject``."""
    return tuple(f"{each.promise}:{each.subject}" for each in slack)
