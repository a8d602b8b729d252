"""What a tick knows that decides what can be shed."""

from __future__ import annotations

from dataclasses import dataclass

from controller.lifecycle.knowledge import Known
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.fleet import RequestClass, Site
from controller.model.grid import Precedence
from controller.optimizer.data import ProblemData
from controller.settlement.quality_budget import QualityBurn


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tick knows that decides what can be shed.

    Attributes:
        data: the problem to plan instances for.
        present: [r], output tokens/s asked for now.
        serving: [k], instances that serve now.
        measured_w: drawn at the meter; None where that is not known.
        margin_frac: share of a limit that is kept free.
        doubts_w: [k], how far P0 of an instance may lie from what the problem says; () for no doubt.
        drain_s: time a drain takes.
        may_stop: whether instances may be stopped for power.
        order: what yields to a limit that does not say.
        unknown: why nothing can be told; None where it can.
    """

    now_s: float
    data: ProblemData
    classes: tuple[RequestClass, ...]
    burns: tuple[QualityBurn, ...]
    present: tuple[float, ...]
    serving: tuple[int, ...]
    measured_w: float | None
    margin_frac: float
    doubts_w: tuple[float, ...]
    drain_s: float
    may_stop: bool
    order: Precedence
    unknown: str | None


def facts_of(
    site: Site, policy: TickPolicy, known: Known, burns: tuple[QualityBurn, ...], doubts_w: tuple[float, ...]
) -> Facts:
    """The facts of a tick."""
    return Facts(
        now_s=known.now_s,
        data=known.data,
        classes=site.classes,
        burns=burns,
        present=tuple(demand.output_tokens_per_s for demand in known.demand),
        serving=tuple(sum(v.serves and v.pool_index == k for v in known.views) for k in range(len(site.pools))),
        measured_w=known.measured.value_w,
        margin_frac=known.margin_frac,
        doubts_w=doubts_w,
        drain_s=policy.drain_expected_s + policy.drain_grace_s,
        may_stop=policy.may_stop,
        order=policy.precedence,
        unknown=_unknown(policy, known),
    )


def _unknown(policy: TickPolicy, known: Known) -> str | None:
    if policy.mode is not Mode.ACT:
        return f"the controller does not act: mode is {policy.mode.value}"
    if known.measured.value_w is None:
        return "what the site draws is not measured"
    return None if known.holding is None else f"the demand is not known: {known.holding}"
