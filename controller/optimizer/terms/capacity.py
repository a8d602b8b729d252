"""Capacity: the engine time that tokens take fits into that of the instances that really serve."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables, sum_over_classes


def engine_time(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Engine seconds per second, of decode and of the prefill that comes with it.

        Σ_r busy_s[r, k] · tokens[r, k, t]
            <= η · ( on[k, t] - late[k, t]
                     - Σ_j ( wake_share[k, j] · wakes[k, t-j] + start_share[k, j] · starts[k, t-j] ) )
               + over_busy[k, t]

    for all k, t, with spare[k, t] added on the left where a class survives the loss of an instance. busy_s is the
    engine time of one output token at the largest batch that keeps the class's
    inter-token latency: (a + b·B)/B + (input/output ratio) · prefill_s_per_token; η < 1 keeps room for queueing tails.
    Unit: instances.
    Shapes: tokens (P, T); busy_s (P, 1); on, late, wakes, starts, over_busy, spare (K, T).
    Source: step-time law T(B) = a + b·B, ML.ENERGY v3; start latency as in arXiv 2606.18851, stage 1.
    """
    usable = p.utilisation * v.on - p.eta_late
    for lag in range(min(shape.lags, shape.steps)):
        usable -= cp.multiply(p.eta_wake[lag], lagged(v.wakes, lag, shape))
        usable -= cp.multiply(p.eta_start[lag], lagged(v.starts, lag, shape))
    used = sum_over_classes(shape) @ cp.multiply(p.busy_s, v.tokens)
    if v.spare is not None:
        used += v.spare
    return [used <= usable + v.over_busy]


def lagged(series: Expression, lag: int, shape: Shape) -> Expression:
    """The (K, T) series of moves as of `lag` intervals later, zero before its beginning.

    Moves of the first interval bind nobody where a plan begins from scratch.
    """
    first = int(shape.from_scratch)
    if lag + first == 0:
        return series
    moved = series[:, first : shape.steps - lag]
    return cp.hstack([np.zeros((shape.pools, lag + first)), moved]) if moved.shape[1] else np.zeros(series.shape)
