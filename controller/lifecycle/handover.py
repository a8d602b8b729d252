"""What a leader hands to the controller that may follow it at any moment, and how that one goes on from it; pure.

Handed over is what was promised and what is under way: the table, the plan and each instance's place in its life cycle,
beside all that outlasts a process (`resume`), and what GPUs had before they were limited. A standby reads the same
meters, engines and routers, so that demand, forecasts and the power model are its own; only its counters of routers
begin elsewhere, so that they stay its own, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from controller.lifecycle.control_error import ControlError
from controller.lifecycle.diagnostics import Foreseen
from controller.lifecycle.drains import Drains
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.memory import Intent, Memory, Raised
from controller.lifecycle.resume import Saved, resumed, saved_of
from controller.model.fleet import Site
from controller.model.gpu_limit import Found
from controller.model.plan import Plan
from router.contract import AllocationTable


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What a leader is in the middle of; fields as of `Memory`."""

    table: AllocationTable | None
    plan: Plan | None
    planned_at_s: float | None
    intents: tuple[Intent, ...]
    events_key: tuple[tuple[str, str, float], ...]
    fleet_key: tuple[int, ...]
    lacking: bool
    blind: bool
    bias_w: float
    bias_at_s: float | None
    foreseen: tuple[Foreseen, ...] = ()
    control: ControlError = field(default_factory=ControlError)
    drains: Drains = field(default_factory=Drains)
    raised: tuple[Raised, ...] = ()


@dataclass(frozen=True, slots=True)
class Handover:
    """One state of a leader.

    Attributes:
        leader: its identity.
        address: where it is reached, for operators.
        gpus_found: of the GPUs that it has limited, or is about to; None where it does not tell.
    """

    leader: str
    address: str
    saved: Saved
    under_way: UnderWay
    gpus_found: tuple[Found, ...] | None = None

    @property
    def written_at_s(self) -> float:
        """Wall clock of the leader's observation."""
        return self.saved.saved_at_s

    def is_in_force(self, now_s: float) -> bool:
        """Whether routers may still obey the leader's table: what was under way is then still."""
        table = self.under_way.table
        return table is not None and now_s < table.expires_at_s


def handover_of(leader: str, address: str, memory: Memory, sleepers: tuple[Sleeper, ...], now_s: float) -> Handover:
    """What is to be handed over of a memory."""
    under_way = UnderWay(**{each.name: getattr(memory, each.name) for each in fields(UnderWay)})
    return Handover(leader, address, saved_of(memory, sleepers, now_s), under_way)


def adopted(site: Site, memory: Memory, handover: Handover, now_s: float, *, is_new: bool) -> Memory:
    """The memory that goes on from a leader's.

    Tables are numbered on from the higher of both. What was under way is taken up while the leader's table is in force;
    later the instances are as they are found. Classes and pools are matched as after a restart.

    Args:
        site: the fleet.
        memory: of this controller.
        handover: the leader's latest.
        now_s: wall clock.
        is_new: whether it is taken up for the first time: what was promised counts on from it once.
    """
    memory = replace(memory, sequence=max(memory.sequence, handover.saved.sequence))
    if is_new:
        memory = _with_promises(site, memory, handover.saved, now_s)
    if not handover.is_in_force(now_s) or not _fits(site, handover.under_way):
        return memory
    return replace(memory, **{each.name: getattr(handover.under_way, each.name) for each in fields(UnderWay)})


def _with_promises(site: Site, memory: Memory, saved: Saved, now_s: float) -> Memory:
    """What outlasts a process, but for what this controller counts itself."""
    kept = resumed(site, saved, now_s)
    return replace(
        memory,
        burns=kept.burns,
        baselines_w=kept.baselines_w,
        refit=replace(kept.refit, anchors=memory.refit.anchors),
        followed=kept.followed,
        history=max(memory.history, kept.history, key=lambda history: len(history.samples)),
    )


def _fits(site: Site, way: UnderWay) -> bool:
    """Whether it is of the same pools: during a change of the configuration leader and standby may have others."""
    return way.plan is None or [plan.pool_id for plan in way.plan.pools] == [pool.pool_id for pool in site.pools]
