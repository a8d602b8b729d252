"""What the classes got during an event: served, dropped, and which broken promises a plan had told before. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.study.events.part import Run

SETTLED_S = 1200.0
"""What an event leaves behind is looked for within this time after it."""
_QUALITY_EPS = 1e-4
"""A mean quality loss that is above the budget by less counts as kept."""


@dataclass(frozen=True, slots=True)
class Promises:
    """What the classes got: output tokens, and the names of promises.

    Attributes:
        asked, lost, dropped: of classes above `flex`, from the call's start to `SETTLED_S` after its end.
        dropped_before, asked_before: the same before the notice.
        flex_waiting: tokens of `flex` that wait at the end of the call.
        overdrawn: classes whose mean quality loss over the run is above their budget.
        foreseen: promises that the plan told to be broken before the first of them was.
        undeclared: promises broken that no plan had told before; a quality budget is broken once the mean loss since
            the run began is so far above it that it counts as overdrawn.
    """

    asked: float
    lost: float
    dropped: float
    dropped_before: float
    asked_before: float
    flex_waiting: float
    overdrawn: tuple[str, ...]
    foreseen: tuple[str, ...]
    undeclared: tuple[str, ...]


def promises_of(run: Run) -> Promises:
    """What the classes got of a run."""
    part, played = run.part, run.played
    case, flex = part.case, np.array(part.flex)
    times_s = case.times_s
    during = (times_s >= part.start_s) & (times_s < part.end_s + SETTLED_S)
    before = times_s < part.notice_s
    late = np.diff(np.vstack([np.zeros((1, len(flex))), played.late_by]), axis=0)
    asked = case.asked_per_s[:, :, 2] * case.tick_s
    dropped = late[during].sum(axis=0)
    at_end = int(np.flatnonzero(times_s < part.end_s)[-1])
    losses = np.array(case.site.losses)
    burnt = (played.by_pool * losses).sum(axis=1) / np.maximum(1.0, played.by_pool.sum(axis=1))
    budgets = np.array([cls.quality_budget_frac for cls in case.site.classes])
    names = [str(cls.class_id) for cls in case.site.classes]
    overdrawn = tuple(name for name, over in zip(names, burnt > budgets + _QUALITY_EPS, strict=True) if over)
    broken = {f"quality:{name}": _overdrawn_s(run, names.index(name)) for name in overdrawn}
    for place in np.flatnonzero(~flex & (dropped > 0)).tolist():
        broken[f"serve:{names[place]}"] = float(times_s[during][np.flatnonzero(late[during][:, place])[0]])
    return Promises(
        asked=float(asked[during][:, ~flex].sum()),
        lost=float(played.lost[~flex, 2].sum()),
        dropped=float(dropped[~flex].sum()),
        dropped_before=float(late[before][:, ~flex].sum()),
        asked_before=float(asked[before][:, ~flex].sum()),
        flex_waiting=float(played.queued[at_end, flex].sum()),
        overdrawn=overdrawn,
        foreseen=tuple(sorted(_told(run, min(broken.values(), default=part.start_s)))),
        undeclared=tuple(sorted(name for name, broken_s in broken.items() if name not in _told(run, broken_s))),
    )


def _overdrawn_s(run: Run, place: int) -> float:
    """When a class had first lost so much since the run began that it counts as overdrawn, from the call's start on.

    Where the decisions saw what was left and none saw that, it was after the last one.
    """
    part, budget = run.part, run.part.case.site.classes[place].quality_budget_frac
    told = ((at_s, record.quality_left_frac[place]) for at_s, record in run.records if at_s >= part.start_s)
    seen = [(at_s, left_frac) for at_s, left_frac in told if left_frac is not None]
    over = (at_s for at_s, left_frac in seen if -left_frac * budget > _QUALITY_EPS)
    return next(over, float(part.case.times_s[-1]) if seen else part.start_s)


def _told(run: Run, broken_s: float) -> frozenset[str]:
    """Promises that a plan told to be broken before `broken_s`, from the notice on; two decisions are always heard."""
    since = [(at_s, record) for at_s, record in run.records if at_s >= run.part.notice_s]
    heard = [record for place, (at_s, record) in enumerate(since) if at_s < broken_s or place < 2]
    return frozenset(name for record in heard for name in record.foreseen)
