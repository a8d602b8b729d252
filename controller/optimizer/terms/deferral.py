"""Deferral: what may wait is served by its deadline."""

from __future__ import annotations

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def deadlines(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """What waits at an interval's end came lately enough to wait on; nothing waits at the horizon's end.

        backlog[r, t] <= Σ_(s = t-D+1..t, s >= 0) demand[r, s] + Σ_(i > t) waiting_now[r, i]        for all r, t < T-1
        backlog[r, T-1] <= 0        [output tokens/s, over one interval]

    D is the class's number of intervals that demand may wait, 0 for one that may not; waiting_now[r, i] is what waits
    at the beginning and is due by the end of interval i. The oldest is served first, so that a backlog within this
    bound holds nothing that is overdue.
    Shapes: backlog, most_waiting (R, T).
    Source: served in order of age, a bound on what waits is a bound on how long (earliest deadline first).
    """
    if p.deferral is None:
        return []
    return [v.backlog <= p.deferral.most_waiting]
