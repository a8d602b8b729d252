"""Physics of all of a site's instances at once, with tokens that flow at constant rates. Pure.

The same engine as `simulation.engine`, seen from afar. With n requests on an instance, B of them in the batch, and
prompts of ρ tokens for each output token, a sequence gets a token every

    T(B) = a + (b + ρ·s)·B   [s],        B = min(n, max_num_seqs, KV capacity / context)

so that a class whose answers have L tokens leaves at the rate k = (B/n) / (L·T(B)) a request, and over a step of
constant inflow x

    n(t) = n·exp(-k·t) + x·(1 - exp(-k·t)) / k.

What leaves is what was there and came, less what is left: no token is made or lost. The power of a serving instance is

    P = idle_w + (P0 - idle_w)·busy + e·(decoded tokens/s) + e_prefill·(prompt tokens/s)   [W],

affine in the rates where the batch never runs empty. Below, requests come by chance: M of them are in a pool of m
instances, Poisson-distributed about their mean, and as the router gives a request to the emptiest instance

    busy = E[min(M, m)] / m.

An answer's first token comes with its prompt and is not decoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.model.fleet import Pool
from controller.model.observation import InstanceState

_LAST_REQUEST = 0.5
"""An instance that gets no new requests and has less than this left ends it in the step: flows fade, requests end."""
_LEAST = 1e-12
_NEVER_EMPTY = 12.0
"""Mean requests an instance above which its batch is taken never to run empty."""
_MANY = 500.0
"""Mean requests above which chance changes nothing."""
_CORRECTIONS = 4
"""Of the rates in a step by what is there on average: each brings them about ten times nearer."""
_UNREACHABLE = (InstanceState.OFF, InstanceState.STARTING)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast instances work through what they have, in the step that begins.

    Attributes:
        leaving_per_s: (I, R) rate k at which a request of a class leaves.
        kept: (I,) requests left at the step's end of those there.
        gain_s: (I,) requests at the step's end for each request/s that comes.
        batch: (I,) sequences in the batch, on average.
    """

    leaving_per_s: np.ndarray
    kept: np.ndarray
    gain_s: np.ndarray
    batch: np.ndarray


class FluidEngines:
    """Instances in the order of the site's pools; arrays have the shapes (I,) or (I, R, 3).

    Attributes:
        held: requests, prompt tokens and output tokens on each instance, by class.
        energy_j, generation_tokens, prompt_tokens: counters of each instance.
        states, since_s: life cycle of each instance.
    """

    def __init__(self, pools: Sequence[Pool], classes: int, states: Sequence[InstanceState], now_s: float) -> None:
        curves = [pool.curves for pool in pools for _ in pool.instances]
        self._curves = curves
        pool_of = np.array([k for k, pool in enumerate(pools) for _ in pool.instances], dtype=int)
        self._members = [np.flatnonzero(pool_of == k) for k in range(len(pools))]
        self._base_s = np.array([c.step_base_s for c in curves])
        self._per_seq_s = np.array([c.step_per_seq_s for c in curves])
        self._prefill_s = np.array([c.prefill_s_per_token for c in curves])
        self._p0_w = np.array([c.p0_w for c in curves])
        self._decode_j = np.array([c.decode_j_per_token for c in curves])
        self._prefill_j = np.array([c.prefill_j_per_token for c in curves])
        self._idle_w = np.array([c.idle_w for c in curves])
        self._most_seqs = np.array([float(c.max_num_seqs) for c in curves])
        self._kv_tokens = np.array([float(c.kv_capacity_tokens) for c in curves])
        self.states = list(states)
        self.since_s = [now_s] * len(curves)
        self.held = np.zeros((len(curves), classes, 3))
        self.energy_j = np.zeros(len(curves))
        self.generation_tokens = np.zeros(len(curves))
        self.prompt_tokens = np.zeros(len(curves))
        self._change_end_s = [math.inf] * len(curves)
        self._note_states()

    @property
    def next_change_s(self) -> float:
        """When the next instance has fallen asleep, woken or started; infinite where none is about to."""
        return min(self._change_end_s, default=math.inf)

    @property
    def unloaded_w(self) -> np.ndarray:
        """Power of each instance without work, (I,)."""
        return np.asarray(np.where(self._serves, self._idle_w, self._resting_w))

    def in_batch(self, i: int) -> tuple[float, float]:
        """Requests of an instance in its batch, and before it."""
        n = float(self.held[i, :, 0].sum())
        running = min(n, self._most_batch(i)) if self.states[i] is InstanceState.SERVING else 0.0
        return running, n - running

    def kv_usage_frac(self, i: int) -> float:
        """Share of an instance's key-value cache in use."""
        n, given, made = (float(amount) for amount in self.held[i].sum(axis=0))
        if n <= _LEAST:
            return 0.0
        return min(1.0, self.in_batch(i)[0] / n * (given + made / 2) / float(self._kv_tokens[i]))

    def sleep(self, i: int, now_s: float) -> None:
        """Fall asleep; what is on the instance waits there."""
        if self.states[i] is InstanceState.SERVING:
            self._enter(i, InstanceState.SLEEPING, now_s, self._curves[i].sleep_s)

    def wake(self, i: int, now_s: float) -> None:
        """Wake up; an instance still falling asleep finishes that first."""
        if self.states[i] is InstanceState.SLEEPING:
            rest_s = 0.0 if math.isinf(self._change_end_s[i]) else self._change_end_s[i] - now_s
            self._enter(i, InstanceState.WAKING, now_s, rest_s + self._curves[i].wake_s)

    def start(self, i: int, now_s: float) -> None:
        """Start an instance that is off."""
        if self.states[i] is InstanceState.OFF:
            self._enter(i, InstanceState.STARTING, now_s, self._curves[i].start_s)

    def stop(self, i: int, now_s: float) -> np.ndarray:
        """End the process at once; what is lost with it, (R, 3)."""
        lost: np.ndarray = self.held[i].copy()
        self.held[i] = 0.0
        self._enter(i, InstanceState.OFF, now_s, None)
        return lost

    def change(self, now_s: float) -> None:
        """End the changes of state that are due."""
        for i, end_s in enumerate(self._change_end_s):
            if end_s > now_s:
                continue
            self._change_end_s[i] = math.inf
            if self.states[i] in (InstanceState.WAKING, InstanceState.STARTING):
                self.states[i], self.since_s[i] = InstanceState.SERVING, now_s
        self._note_states()

    def pace(self, dt_s: float, typical: np.ndarray, coming_per_s: np.ndarray | None = None) -> Pace:
        """Rates for a step of `dt_s`, by what is on the instances on average while it lasts.

        Args:
            dt_s: length of the step.
            typical: (R, 3) mean requests, for instances that have none of a class.
            coming_per_s: (I, R) requests that come in the step; None: as though those there stayed and none came.
        """
        each = np.where(
            self.held[:, :, :1] > _LEAST,
            self.held / np.maximum(_LEAST, self.held[:, :, :1]),
            (typical / np.maximum(_LEAST, typical[:, :1]))[None, :, :],
        )
        requests = self.held[:, :, 0]
        mean = requests
        leaving, batch = self._leaving(mean, each)
        if coming_per_s is not None:
            for _ in range(_CORRECTIONS):
                mean = _mean_over(dt_s, requests, coming_per_s, leaving)
                leaving, batch = self._leaving(mean, each)
        kept = (requests * np.exp(-leaving * dt_s)).sum(axis=1)
        n = mean.sum(axis=1)
        mean_k = np.where(n > _LEAST, (mean * leaving).sum(axis=1) / np.maximum(_LEAST, n), leaving.mean(axis=1))
        return Pace(leaving, kept, _gain_s(mean_k, dt_s), batch)

    def _leaving(self, requests: np.ndarray, each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rates (I, R) at which requests leave instances with so many of each class, and the batches (I,)."""
        n = requests.sum(axis=1)
        share = np.where(n[:, None] > _LEAST, requests / np.maximum(_LEAST, n)[:, None], 1.0 / requests.shape[1])
        length = np.maximum(1.0, each[:, :, 2])
        context = (share * (each[:, :, 1] + each[:, :, 2] / 2)).sum(axis=1)
        batch = np.minimum(n, np.minimum(self._most_seqs, self._kv_tokens / np.maximum(1.0, context)))
        per_output = (share * each[:, :, 1] / length).sum(axis=1)
        token_s = self._base_s + (self._per_seq_s + per_output * self._prefill_s) * batch
        in_batch = np.where(n > _LEAST, batch / np.maximum(_LEAST, n), 1.0)
        return (self._serves * in_batch / token_s)[:, None] / length, batch

    def flow(self, dt_s: float, pace: Pace, coming: np.ndarray, takes: np.ndarray) -> np.ndarray:
        """Let a step pass in which `coming` (I, R, 3) comes; what is served, (I, R, 3).

        Args:
            dt_s: length of the step.
            pace: of the step.
            coming: what the router gives to each instance.
            takes: (I,) whether the router gives new requests to an instance.
        """
        k = pace.leaving_per_s
        left = self.held * np.exp(-k * dt_s)[:, :, None] + coming / dt_s * _gain_s(k, dt_s)[:, :, None]
        ends = ~takes & self._serves & (left[:, :, 0].sum(axis=1) < _LAST_REQUEST)
        left[ends] = 0.0
        served: np.ndarray = np.maximum(0.0, self.held + coming - left)
        served *= self._done_in_time(dt_s, served)[:, None, None]
        self.held = np.maximum(0.0, self.held + coming - served)
        tokens = served.sum(axis=1)
        self.generation_tokens += tokens[:, 2]
        self.prompt_tokens += tokens[:, 1]
        busy = self._busy(pace.batch, takes & self._serves)
        serving_j = (
            dt_s * (self._idle_w + (self._p0_w - self._idle_w) * busy)
            + self._decode_j * np.maximum(0.0, tokens[:, 2] - tokens[:, 0])
            + self._prefill_j * tokens[:, 1]
        )
        self.energy_j += np.where(self._serves, serving_j, dt_s * self._resting_w)
        return served

    def _done_in_time(self, dt_s: float, served: np.ndarray) -> np.ndarray:
        """Share of this work that a step has time for, (I,): below 1 where what came asks for more than what was."""
        tokens = served.sum(axis=1)
        takes_s = tokens[:, 2] * self._per_seq_s + tokens[:, 1] * self._prefill_s
        return np.asarray(np.minimum(1.0, dt_s / np.maximum(dt_s, takes_s)))

    def _busy(self, batch: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Share of the time in which each instance computes, (I,); those of `shares` divide their pool's requests."""
        busy: np.ndarray = 1.0 - np.exp(-batch)
        for members in self._members:
            at = members[shares[members]]
            if len(at):
                busy[at] = busy_share(float(batch[at].sum()), len(at))
        return busy

    def _most_batch(self, i: int) -> float:
        n, given, made = (float(amount) for amount in self.held[i].sum(axis=0))
        fits = float(self._kv_tokens[i]) * n / max(_LEAST, given + made / 2)
        return min(float(self._most_seqs[i]), fits if n > _LEAST else math.inf)

    def _enter(self, i: int, state: InstanceState, now_s: float, duration_s: float | None) -> None:
        self.states[i], self.since_s[i] = state, now_s
        self._change_end_s[i] = math.inf if duration_s is None else now_s + duration_s
        self._note_states()

    def _note_states(self) -> None:
        self._serves = np.array([state is InstanceState.SERVING for state in self.states])
        self.reachable = np.array([state not in _UNREACHABLE for state in self.states])
        self._resting_w = np.array([self._rest_w(i) for i in range(len(self.states))])

    def _rest_w(self, i: int) -> float:
        curves = self._curves[i]
        if self.states[i] is InstanceState.OFF:
            return curves.off_w
        if self.states[i] is InstanceState.SLEEPING and math.isinf(self._change_end_s[i]):
            return curves.sleeping_w
        return curves.idle_w


def busy_share(requests: float, instances: int) -> float:
    """E[min(M, m)] / m for M Poisson-distributed about `requests`: share of m instances that compute at a time."""
    if requests >= _NEVER_EMPTY * instances:
        return 1.0
    if requests >= _MANY:
        return min(1.0, requests / instances)
    exactly, at_most, busy = math.exp(-requests), 0.0, 0.0
    for j in range(instances):
        at_most += exactly
        busy += 1.0 - at_most
        exactly *= requests / (j + 1)
    return busy / instances


def _mean_over(dt_s: float, held: np.ndarray, coming_per_s: np.ndarray, leaving_per_s: np.ndarray) -> np.ndarray:
    """Mean number over a step of what is held, comes at a constant rate and leaves at rates of its own."""
    gain_s = _gain_s(leaving_per_s, dt_s)
    slow = leaving_per_s * dt_s < 1e-6
    from_new = np.where(slow, dt_s**2 / 2, (dt_s - gain_s) / np.where(slow, 1.0, leaving_per_s))
    return np.asarray((held * gain_s + coming_per_s * from_new) / dt_s)


def _gain_s(leaving_per_s: np.ndarray, dt_s: float) -> np.ndarray:
    """(1 - exp(-k·dt)) / k, which is dt where nothing leaves."""
    slow = leaving_per_s * dt_s < 1e-9
    safe = np.where(slow, 1.0, leaving_per_s)
    return np.asarray(np.where(slow, dt_s, -np.expm1(-leaving_per_s * dt_s) / safe))
