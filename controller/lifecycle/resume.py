"""What of a tick's memory outlasts the controller's process, and how a new process takes it up.

Kept are the promises that reach back further than a process may live: what each class has burnt of its quality budget,
the power of the recent past and the baselines frozen from it, the number of the last table, and which instances are
asleep by the controller's own command. Kept as well is what was learnt of the pools' curves, which takes days of mixed
load. All else is learnt anew within minutes and would mislead when it is old.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from controller.lifecycle.handback import Sleeper
from controller.lifecycle.limits import Followed
from controller.lifecycle.memory import Intent, Memory, Phase
from controller.lifecycle.refit_state import RefitState
from controller.model.fleet import Site
from controller.model.observation import ClassDemand
from controller.settlement.baseline import PowerHistory
from controller.settlement.quality_budget import QualityBurn
from router.contract import InstanceId

CLOCK_TOLERANCE_S = 5.0
"""How far ahead of now a time of the former life may lie before the clock counts as set back."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What is kept, all of bounded size.

    Attributes:
        saved_at_s: wall clock of the observation that it was made upon.
        sequence: of the last table issued.
        burns: quality burnt by each class in its window.
        served: the routers' counters up to which `burns` counts.
        history: measured power, for baselines.
        baselines_w: (event_id, W) frozen at each event's start.
        sleepers: instances that sleep or are off by the controller's command, and those whose wake is not proven.
        refit: what was learnt of the pools' curves; it counts for a pool while the configuration gives it the same
            curves, and becomes as doubtful as its age makes it.
        followed: the events in force, and the returns from those that are over.
        drained: instances that rest; of those that do so awake nothing else tells it.
    """

    saved_at_s: float
    sequence: int
    burns: tuple[QualityBurn, ...]
    served: tuple[ClassDemand, ...]
    history: PowerHistory
    baselines_w: tuple[tuple[str, float], ...]
    sleepers: tuple[Sleeper, ...]
    refit: RefitState = field(default_factory=RefitState)
    followed: Followed = field(default_factory=Followed)
    drained: tuple[InstanceId, ...] = ()


def saved_of(memory: Memory, sleepers: tuple[Sleeper, ...], now_s: float) -> Saved:
    """What is to be kept of a memory."""
    return Saved(
        saved_at_s=now_s,
        sequence=memory.sequence,
        burns=memory.burns,
        served=memory.served,
        history=memory.history,
        baselines_w=memory.baselines_w,
        sleepers=sleepers,
        refit=memory.refit.outlasting,
        followed=memory.followed,
        drained=tuple(intent.instance_id for intent in memory.intents if intent.phase is Phase.SLEEP),
    )


def resumed(site: Site, saved: Saved, now_s: float) -> Memory:
    """The memory of a process that takes up what a former one kept.

    Classes are matched by name: a new one begins with nothing burnt, one that is gone is dropped, and one whose window
    was changed keeps its tokens. Tables are numbered above those of the former life even where the clock was set back.
    Instances that rested awake go on to do so where they have no request; routers without a table send them some again.
    """
    memory = Memory.initial(site, now_s)
    kept = {burn.class_id: burn for burn in saved.burns}
    return replace(
        memory,
        sequence=max(memory.sequence, saved.sequence),
        burns=tuple(
            kept.get(burn.class_id, burn).over(burn.window_s).with_tokens(now_s, 0.0, 0.0) for burn in memory.burns
        ),
        served=saved.served,
        history=PowerHistory(tuple(sample for sample in saved.history.samples if sample[0] <= now_s)),
        baselines_w=saved.baselines_w,
        refit=saved.refit,
        followed=saved.followed,
        intents=_resting(site, saved, now_s),
    )


def _resting(site: Site, saved: Saved, now_s: float) -> tuple[Intent, ...]:
    awake = (pool for pool in site.pools if pool.rests_untold)
    there = {instance.instance_id for pool in awake for instance in pool.instances}
    return tuple(Intent(name, Phase.SLEEP, now_s) for name in saved.drained if name in there)


def unknown(site: Site, now_s: float) -> Memory:
    """The memory of a process whose former life cannot be read: every quality budget counts as burnt for a window."""
    memory = Memory.initial(site, now_s)
    burns = tuple(QualityBurn.unknown(burn.class_id, burn.window_s, now_s) for burn in memory.burns)
    return replace(memory, burns=burns)


def is_clock_back(saved: Saved, now_s: float) -> bool:
    """Whether the clock was set back since the state was kept."""
    return saved.saved_at_s > now_s + CLOCK_TOLERANCE_S
