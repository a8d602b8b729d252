"""Present demand of each class from the routers' counters.

The rate of requests is smoothed twice, with a fast and a slow time constant; the larger estimate is used, so that a
rise is followed at once and a fall is believed late. Arrivals are counted, not completions: a token demand is known
before the first answer has ended, and requests refused or queued count as what they are. One that an engine found fault
with, such as one for another model, asks for no tokens and is no arrival. What comes after the present is the matter of
`controller.forecast.foresight`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.model.fleet import RequestClass
from controller.model.observation import ClassDemand, RouterObservation
from router.contract import ClassId

PRIOR_REQUESTS = 20.0
"""Weight of the configured token lengths against seen ones, in requests."""
LENGTH_TAU_S = 600.0
"""Time constant with which token lengths are forgotten."""
FLOOR_RPS = 1.0 / 60.0
"""Least demand planned for, so that every class always has an instance: one request a minute."""
PATIENCE_S = 30.0
"""A router refuses a request that has waited so long for a slot, unless it is told otherwise (`max_wait_s`)."""
PERSISTENCE = "persistence"
"""Name of the forecast that what is now lasts."""


@dataclass(frozen=True, slots=True)
class ClassEstimate:
    """One class's smoothed figures.

    Attributes:
        counters: as last seen.
        fast_rps, slow_rps: bias-corrected exponential means of arrivals.
        fast_weight, slow_weight: weight seen so far, 0..1, by which they are corrected.
        finished, input_tokens, output_tokens: decayed sums, for the mean lengths.
        observed_s: time spanned by the differences used.
    """

    class_id: ClassId
    counters: ClassDemand
    fast_rps: float = 0.0
    slow_rps: float = 0.0
    fast_weight: float = 0.0
    slow_weight: float = 0.0
    finished: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    observed_s: float = 0.0

    @property
    def rps(self) -> float:
        """Present rate of arrivals: the larger of the two means."""
        return max(self.fast_rps, self.slow_rps)


@dataclass(frozen=True, slots=True)
class DemandState:
    """Estimates of all classes seen, as of one report of the routers."""

    observed_at_s: float | None = None
    classes: tuple[ClassEstimate, ...] = ()

    def of(self, class_id: ClassId) -> ClassEstimate | None:
        """Estimate of a class, None before it was seen."""
        return next((estimate for estimate in self.classes if estimate.class_id == class_id), None)

    @property
    def observed_s(self) -> float:
        """Longest time over which a class's demand has been observed."""
        return max((estimate.observed_s for estimate in self.classes), default=0.0)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a class is expected to ask for.

    Attributes:
        output_tokens_per_s: present rate of output tokens, the queue's share included.
        urgent_tokens_per_s: what is to be served beside it now, so that no request waits until it is refused.
        input_tokens, output_tokens: mean per request.
        ahead_tokens_per_s: rate of output tokens to plan for in each interval of the horizon; empty where the present
            rate is all that is known.
        forecaster: whose rates these are.
    """

    output_tokens_per_s: float
    input_tokens: float
    output_tokens: float
    ahead_tokens_per_s: tuple[float, ...] = ()
    forecaster: str = PERSISTENCE
    urgent_tokens_per_s: float = 0.0

    @property
    def now_tokens_per_s(self) -> float:
        """Rate of output tokens to serve now, what is urgent included."""
        return self.output_tokens_per_s + self.urgent_tokens_per_s

    @property
    def input_per_output(self) -> float:
        """Prompt tokens that come with an output token."""
        return self.input_tokens / self.output_tokens

    def planned(self, steps: int) -> tuple[float, ...]:
        """Rate of output tokens to plan for in each of the horizon's intervals, shape (steps,)."""
        return self.ahead_tokens_per_s or (self.output_tokens_per_s,) * steps


def update(state: DemandState, router: RouterObservation, fast_tau_s: float, slow_tau_s: float) -> DemandState:
    """Take in one report; one that is not newer than the last is ignored."""
    before_s = state.observed_at_s
    if before_s is not None and router.observed_at_s <= before_s:
        return state
    elapsed_s = 0.0 if before_s is None else router.observed_at_s - before_s
    return DemandState(
        router.observed_at_s,
        tuple(_step(state.of(seen.class_id), seen, elapsed_s, (fast_tau_s, slow_tau_s)) for seen in router.demand),
    )


def _step(old: ClassEstimate | None, seen: ClassDemand, elapsed_s: float, taus_s: tuple[float, float]) -> ClassEstimate:
    if old is None or elapsed_s <= 0.0:
        return ClassEstimate(seen.class_id, seen) if old is None else replace(old, counters=seen)
    last = old.counters
    arrived, finished = seen.arrived_since(last), seen.finished - last.finished
    input_tokens, output_tokens = seen.input_tokens - last.input_tokens, seen.output_tokens - last.output_tokens
    if min(arrived, finished, input_tokens, output_tokens) < 0:
        # A router restarted: the difference says nothing, the next one will.
        return replace(old, counters=seen)
    rps = arrived / elapsed_s
    fast, slow = (1.0 - math.exp(-elapsed_s / tau_s) for tau_s in taus_s)
    keep = math.exp(-elapsed_s / LENGTH_TAU_S)
    fast_weight, slow_weight = (
        old.fast_weight + fast * (1 - old.fast_weight),
        old.slow_weight + slow * (1 - old.slow_weight),
    )
    return ClassEstimate(
        seen.class_id,
        seen,
        fast_rps=old.fast_rps + fast / fast_weight * (rps - old.fast_rps),
        slow_rps=old.slow_rps + slow / slow_weight * (rps - old.slow_rps),
        fast_weight=fast_weight,
        slow_weight=slow_weight,
        finished=old.finished * keep + finished,
        input_tokens=old.input_tokens * keep + input_tokens,
        output_tokens=old.output_tokens * keep + output_tokens,
        observed_s=old.observed_s + elapsed_s,
    )


def estimate(state: DemandState, request_class: RequestClass, clear_queue_s: float) -> Demand:
    """Demand of a class now; a class never seen has its configured lengths and the floor.

    Args:
        state: smoothed counters.
        request_class: whose demand.
        clear_queue_s: time in which requests that wait in the routers should be served. Where those of a class that may
            not wait are due before, by its time to first token or the routers' patience, the rest of them is urgent.
    """
    seen = state.of(request_class.class_id)
    expected_in, expected_out = request_class.expected_input_tokens, request_class.expected_output_tokens
    if seen is None:
        return Demand(FLOOR_RPS * expected_out, expected_in, expected_out)
    # Requests under way count with the configured lengths: the short ones end first, and alone would mislead.
    prior = PRIOR_REQUESTS + seen.counters.in_flight
    weight = prior + seen.finished
    input_tokens = (prior * expected_in + seen.input_tokens) / weight
    output_tokens = max(1.0, (prior * expected_out + seen.output_tokens) / weight)
    queued_rps = seen.counters.queued / clear_queue_s
    within_s = clear_queue_s if request_class.may_wait else max(PATIENCE_S, request_class.ttft_slo_s)
    return Demand(
        max(seen.rps + queued_rps, FLOOR_RPS) * output_tokens,
        input_tokens,
        output_tokens,
        urgent_tokens_per_s=max(0.0, seen.counters.queued / within_s - queued_rps) * output_tokens,
    )
