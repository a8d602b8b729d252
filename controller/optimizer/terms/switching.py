"""Switching: how instances move between serving, asleep and off, how long they must stay, and what a move costs."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.terms.capacity import lagged
from controller.optimizer.variables import Expression, Shape, Variables, before


def transitions(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Instances move, they do not appear.

        on[k, t]       = on[k, t-1]       + wakes[k, t] + starts[k, t] - sleeps[k, t]
        sleeping[k, t] = sleeping[k, t-1] - wakes[k, t] + sleeps[k, t] - stops[k, t]        for all k, t

    with on[k, -1] = on_now[k], sleeping[k, -1] = sleeping_now[k]; what is neither is off.
    Shapes: all (K, T); on_now, sleeping_now (K, 1). Unit: instances.
    Source: state transitions of unit commitment, with a third state for sleep.
    """
    return [
        v.on == before(p.on_now, v.on) + v.wakes + v.starts - v.sleeps,
        v.sleeping == before(p.sleeping_now, v.sleeping) - v.wakes + v.sleeps - v.stops,
    ]


def least_up_time(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """An instance that was woken or started stays on for its least time, and at least until it serves.

        Σ_j ( hold_wake[k, j] · wakes[k, t-j] + hold_start[k, j] · starts[k, t-j] ) <= on[k, t]
        locked[k, t] <= on[k, t]        for all k, t        [instances]

    hold is 1 for the intervals that still bind; locked counts instances woken before the horizon.
    Shapes: all (K, T).
    Source: minimum up-time of unit commitment, as a rolling sum.
    """
    held = 0
    for lag in range(min(shape.lags, shape.steps)):
        held += cp.multiply(p.hold_wake[lag], lagged(v.wakes, lag, shape))
        held += cp.multiply(p.hold_start[lag], lagged(v.starts, lag, shape))
    return [held <= v.on, v.on >= p.locked]


def decision_times(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Instances move only in intervals at which a move can pay.

        wakes[k, t] + starts[k, t] + sleeps[k, t] + stops[k, t] <= most_moves[k, t]
        stops[k, t] <= most_stops[k, t]        for all k, t    [instances]

    with most_moves 0 in the other intervals, and most_stops 0 where instances must not be stopped. Between two changes
    of demand, price, limit or budget a move only costs; leaving those intervals out shrinks the search from T to a few
    decisions.
    Shapes: all (K, T).
    Source: move blocking of receding-horizon control.
    """
    return [v.wakes + v.starts + v.sleeps + v.stops <= p.most_moves, v.stops <= p.most_stops]


def switching_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Cost of moves: Σ_k,t wake_price[k, t] · (wakes + starts)[k, t] + stop_price[k] · stops[k, t].

    A stop is charged with the cold start that it makes necessary later, beyond the horizon's end.
    Shapes: moves, wake_price (K, T); stop_price (1, K). Unit: millionths of a USD.
    Source: arXiv 2606.18851, stage 1, switching cost.
    """
    first = int(shape.from_scratch)
    begun = (v.wakes + v.starts)[:, first:]
    return cp.sum(cp.multiply(p.wake_price[:, first:], begun)) + cp.sum(p.stop_price @ v.stops[:, first:])
