"""What the classes got during an event: served, dropped, and which broken promises a plan had told before. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.study.events.part import Run

SETTLED_S = 1200.0
"""What an event leaves behind is looked for within this time after it."""
_QUALITY_EPS = 1e-4


@dataclass(frozen=True, slots=True)
class Promises:
    """What the classes got: output tokens, and the names of promises.

    Attributes:
        asked, lost, dropped: of classes above `flex`, from the call's start to `SETTLED_S` after its end.
        dropped_before, asked_before: the same before the notice.
        flex_waiting: tokens of `flex` that wait at the end of the call.
        overdrawn: classes whose mean quality loss over the run is above their budget.
        foreseen: promises that the plan told to be broken.
        undeclared: promises broken without having been foreseen.
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
    unserved = tuple(
        name
        for name, tokens, yields in zip(names, dropped.tolist(), flex.tolist(), strict=True)
        if not yields and tokens > 0
    )
    broken = {f"quality:{name}" for name in overdrawn} | {f"serve:{name}" for name in unserved}
    foreseen = _foreseen(
        run, float(times_s[during][np.flatnonzero(late[during][:, ~flex].sum(axis=1))[0]]) if unserved else part.start_s
    )
    return Promises(
        asked=float(asked[during][:, ~flex].sum()),
        lost=float(played.lost[~flex, 2].sum()),
        dropped=float(dropped[~flex].sum()),
        dropped_before=float(late[before][:, ~flex].sum()),
        asked_before=float(asked[before][:, ~flex].sum()),
        flex_waiting=float(played.queued[at_end, flex].sum()),
        overdrawn=overdrawn,
        foreseen=foreseen,
        undeclared=tuple(sorted(broken - set(foreseen))),
    )


def _foreseen(run: Run, broken_s: float) -> tuple[str, ...]:
    """Promises that a plan told to be broken before they were, from the notice on; at least two decisions are heard."""
    since = [(at_s, record) for at_s, record in run.records if at_s >= run.part.notice_s]
    heard = [record for place, (at_s, record) in enumerate(since) if at_s < broken_s or place < 2]
    return tuple(sorted({name for record in heard for name in record.foreseen}))
