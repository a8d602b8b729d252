"""What a tick knows that decides what can be shed."""

from __future__ import annotations

from dataclasses import dataclass

from controller.lifecycle.knowledge import Known
from controller.lifecycle.memory import Memory, Phase
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.problem import remaining_s
from controller.lifecycle.refit import Learnt
from controller.lifecycle.views import serving_by_pool
from controller.model.fleet import RequestClass
from controller.model.grid import Precedence
from controller.optimizer.data import ProblemData
from controller.settlement.baseline import mean_before_w
from controller.settlement.quality_budget import QualityBurn

MEAN_S = 60.0
"""A reduction is told from no more than the mean of this time: single readings go up and down with the batches."""
REACTION_S = 5.0
"""From a call until the routers obey a table that lists who is to go: a tick, a plan and its way to the routers."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tick knows that decides what can be shed.

    Attributes:
        data: the problem to plan instances for.
        present: [r], output tokens/s asked for now.
        serving: [k], instances that serve now.
        measured_w: drawn at the meter, no more than on the mean of late; None where that is not known.
        margin_frac: share of a limit that is kept free.
        doubts_w: [k], how far P0 of an instance may lie from what the problem says; () for no doubt.
        gone_s: [k], time from a call until an instance of the pool that is let go is asleep; 0 where none is.
        coming_s: [k], time until each instance serves that is on its way up.
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
    gone_s: tuple[float, ...]
    coming_s: tuple[tuple[float, ...], ...]
    may_stop: bool
    order: Precedence
    unknown: str | None


def facts_of(learnt: Learnt, policy: TickPolicy, known: Known, memory: Memory) -> Facts:
    """The facts of a tick, whose memory is that for the next one."""
    site, pools = learnt.site, range(len(learnt.site.pools))
    drain_s = _drain_s(policy, known, memory)
    waits = [(v.pool_index, remaining_s(v, known.now_s, policy.command_retry_s)) for v in known.views if v.is_on]
    return Facts(
        now_s=known.now_s,
        data=known.data,
        classes=site.classes,
        burns=memory.burns,
        present=tuple(demand.output_tokens_per_s for demand in known.demand),
        serving=serving_by_pool(known.views, len(site.pools)),
        measured_w=_drawn_w(known, memory),
        margin_frac=known.margin_frac,
        doubts_w=learnt.doubts_w,
        gone_s=tuple(0.0 if pool.is_held else REACTION_S + drain_s + pool.curves.sleep_s for pool in site.pools),
        coming_s=tuple(tuple(wait_s for j, wait_s in waits if j == k and wait_s > 0.0) for k in pools),
        may_stop=policy.may_stop,
        order=policy.precedence,
        unknown=_unknown(policy, known),
    )


def _drawn_w(known: Known, memory: Memory) -> float | None:
    """The reading of now, or the mean of late where that is lower."""
    now_w, mean_w = known.measured.value_w, mean_before_w(memory.history.samples, known.now_s, MEAN_S)
    return now_w if now_w is None or mean_w is None else min(now_w, mean_w)


def _drain_s(policy: TickPolicy, known: Known, memory: Memory) -> float:
    """The longest drain seen of late or under way; what the operator expects where none was seen."""
    seen_s = memory.drains.longest_s(known.now_s)
    expected_s = policy.drain_expected_s + policy.drain_grace_s if seen_s is None else seen_s
    under_way = (known.now_s - v.intent.since_s for v in known.views if v.intent.phase is Phase.DRAIN)
    return max(expected_s, *under_way, 0.0)


def _unknown(policy: TickPolicy, known: Known) -> str | None:
    if policy.mode is not Mode.ACT:
        return f"the controller does not act: mode is {policy.mode.value}"
    if known.measured.value_w is None:
        return "what the site draws is not measured"
    return None if known.holding is None else f"the demand is not known: {known.holding}"
