"""Who waits and for how long: the oldest is served first, what is overdue is unserved. No solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.plan import Plan
from controller.optimizer.data import ClassData, ProblemData


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of a class's demand; every tuple of rates has one entry an interval, output tokens/s.

    Attributes:
        unserved: what fell due in the interval and was not served.
        over: what was served although nobody waited.
        waiting: what waits at the end, by when it is due as in `ClassData.backlog_tokens_per_s`.
    """

    unserved: tuple[float, ...]
    over: tuple[float, ...]
    waiting: tuple[float, ...]


def ledger(cls: ClassData, served: Sequence[float], *, until_end: bool) -> Ledger:
    """Serves the oldest first.

    Args:
        cls: the class.
        served: output tokens/s of the intervals from the first on.
        until_end: whether the last of them ends the horizon, after which nothing may wait.
    """
    waiting = {due: rate for due, rate in enumerate(cls.backlog_tokens_per_s) if rate > 0}
    unserved, over = [], []
    for t, rate in enumerate(served):
        due = t + cls.defer_steps
        waiting[due] = waiting.get(due, 0.0) + cls.demand_tokens_per_s[t]
        left = rate
        for oldest in sorted(waiting):
            given = min(left, waiting[oldest])
            waiting[oldest] -= given
            left -= given
        over.append(left)
        last = len(served) - 1 if until_end else -1
        unserved.append(sum(amount for when, amount in waiting.items() if when <= t or t == last))
        waiting = {when: amount for when, amount in waiting.items() if when > t and t != last and amount > 0}
    steps = len(served)
    by_due = tuple(waiting.get(steps + i, 0.0) for i in range(cls.defer_steps))
    return Ledger(tuple(unserved), tuple(over), by_due)


def still_waiting(cls: ClassData, served: Sequence[float]) -> float:
    """Output tokens/s that wait after the intervals in which so much was served."""
    may_wait = cls.defer_steps or cls.backlog_tokens_per_s
    return sum(ledger(cls, served, until_end=False).waiting) if may_wait else 0.0


def most_waiting(cls: ClassData, steps: int) -> tuple[float, ...]:
    """What may wait at the end of each interval: demand and backlog that are not due yet; nothing at the last."""
    out = []
    for t in range(steps):
        came = sum(cls.demand_tokens_per_s[max(0, t - cls.defer_steps + 1) : t + 1]) if cls.defer_steps else 0.0
        out.append(came + sum(cls.backlog_tokens_per_s[t + 1 :]) if t < steps - 1 else 0.0)
    return tuple(out)


def waiting_after(data: ProblemData, plan: Plan, steps: int = 1) -> tuple[tuple[float, ...], ...]:
    """[r], what waits after a plan's first intervals: `backlog_tokens_per_s` of a problem that begins there."""
    return tuple(
        ledger(
            cls,
            [sum(pool.output_tokens_per_s[r][1][t] for pool in plan.pools) for t in range(steps)],
            until_end=steps == data.horizon.steps,
        ).waiting
        for r, cls in enumerate(data.classes)
    )
