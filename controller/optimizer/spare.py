"""Whether a class survives the loss of an instance. No solver."""

from __future__ import annotations

from controller.optimizer.data import ProblemData

Serving = tuple[tuple[float, ...], ...]
"""[k][t], instances that really serve."""
Rates = tuple[tuple[tuple[float, ...], ...], ...]
"""[r][k][t], output tokens/s."""

_OVER_HEADROOM = 2.0
"""How far spare capacity is dearer than headroom, which is used before it is given up."""


def may_lose(data: ProblemData, r: int) -> tuple[int, ...]:
    """Pools with instances that a class which survives a loss may use; none for other classes."""
    if not data.classes[r].survives_loss:
        return ()
    return tuple(k for k, pool in enumerate(data.pools) if data.allowed[r][k] and pool.instances > 0)


def largest_tokens_per_s(data: ProblemData, r: int) -> float:
    """Output tokens/s within η of the largest instance that a class may lose; 0 where it need not survive."""
    return max((data.utilisation_frac / data.busy_s_per_token[r][k] for k in may_lose(data, r)), default=0.0)


def spare_usd_per_token(data: ProblemData, r: int) -> float:
    """Price of a missing token/s and second: above that of headroom, below that of serving any class.

    Where an instance has failed, what is left of the spare capacity is there to be used: no token of another class may
    stay undone to keep it.
    """
    busy_s = max((data.busy_s_per_token[r][k] for k in may_lose(data, r)), default=0.0)
    least_usd = min(cls.serve_usd_per_token for cls in data.classes)
    return min(_OVER_HEADROOM * data.headroom_usd_per_s * busy_s, 0.5 * least_usd)


def missing_spare(data: ProblemData, r: int, serving: Serving, rates: Rates) -> float:
    """Output tokens/s that the spare capacity lacks to carry the largest instance, at the worst interval."""
    pools = may_lose(data, r)
    largest, worst = largest_tokens_per_s(data, r), 0.0
    if not pools:
        return worst
    for t, demand in enumerate(data.classes[r].demand_tokens_per_s[: len(serving[0])]):
        if demand <= 0:
            continue
        spare = 0.0
        for k in pools:
            used = sum(data.busy_s_per_token[q][k] * rates[q][k][t] for q in range(len(data.classes)))
            spare += (data.utilisation_frac * serving[k][t] - used) / data.busy_s_per_token[r][k]
        worst = max(worst, largest - spare)
    return worst
