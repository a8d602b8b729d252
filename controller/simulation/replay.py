"""Replaying requests against a simulated site under a virtual clock. Pure and deterministic.

Intervals and ticks are aligned to the start of the replay. The replay ends when every request has been answered, or
`drain_s` after the last interval of `duration_s`, whichever comes first.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.model.observation import Observation
from controller.model.plan import Commands
from controller.simulation.latency import Latencies
from controller.simulation.site import Signals, SimulatedSite
from controller.simulation.site_router import Request
from controller.simulation.trace import Arrival
from router.contract import ClassId, PoolId

DRAIN_S = 120.0


class Decider(Protocol):
    """The controller, as a replay sees it."""

    def decide(self, observation: Observation) -> Commands:
        """Commands of one tick."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Clock of a replay.

    Attributes:
        start_s: wall clock of the start.
        duration_s: time during which requests arrive.
        tick_s: time between two decisions.
        interval_s: length of the intervals of the power series; the clock moves by it, so `tick_s` is a multiple.
        drain_s: time left for the last answers.
    """

    start_s: float
    duration_s: float
    tick_s: float
    interval_s: float = 1.0
    drain_s: float = DRAIN_S


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a replay.

    Attributes:
        energy_j: at the metering point, to the end of the last answer.
        power_w: mean power of each interval of `interval_s`, the drain included.
        tokens_lost: asked for and not served.
    """

    energy_j: float
    power_w: tuple[float, ...]
    interval_s: float
    requests: int
    requests_finished: int
    tokens_served: int
    tokens_lost: int
    tokens_by_pool: Mapping[PoolId, float]
    ttft: Latencies
    itl: Latencies

    @property
    def duration_s(self) -> float:
        """Length of the replay with its drain."""
        return len(self.power_w) * self.interval_s


def assign_classes(
    arrivals: Sequence[Arrival], shares: Mapping[ClassId, float], seed: int, *, min_input_tokens: int = 1
) -> tuple[Request, ...]:
    """Give each arrival a class by a hash of its number and the seed, in proportion to `shares`.

    Args:
        arrivals: in order of time.
        shares: relative share of the requests of each class.
        seed: another seed gives another assignment.
        min_input_tokens: shorter prompts are lengthened to it; a chat has its template at least.

    Raises:
        ValueError: no class has a positive share.
    """
    total = sum(shares.values())
    if total <= 0:
        raise ValueError(f"no class has a positive share: {dict(shares)}")
    last = list(shares)[-1]
    requests = []
    for index, arrival in enumerate(arrivals):
        digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
        left = int.from_bytes(digest, "big") / 2**64 * total
        chosen = last
        for class_id, share in shares.items():
            left -= share
            if left < 0:
                chosen = class_id
                break
        given = max(min_input_tokens, arrival.input_tokens)
        requests.append(Request(index, arrival.time_s, chosen, given, arrival.output_tokens))
    return tuple(requests)


def replay(
    site: SimulatedSite, requests: Sequence[Request], signals: Signals, decider: Decider, timing: Timing
) -> Outcome:
    """Run the requests through the site, with a decision every `tick_s`.

    The controller decides at the start of an interval; then the interval's requests arrive and its time passes.
    """
    waiting = deque(requests)
    power_w: list[float] = []
    ticks = 0
    energy_before_j = site.energy_j()
    while True:
        elapsed_s = len(power_w) * timing.interval_s
        over = elapsed_s >= timing.duration_s and not waiting
        if over and (not site.busy or elapsed_s >= timing.duration_s + timing.drain_s):
            break
        now_s = timing.start_s + elapsed_s
        if elapsed_s + 1e-9 >= ticks * timing.tick_s:
            site.apply(decider.decide(site.observe(signals)), now_s)
            ticks += 1
        while waiting and waiting[0].time_s < elapsed_s + timing.interval_s:
            request = waiting.popleft()
            site.advance(timing.start_s + request.time_s)
            site.submit(request, timing.start_s + request.time_s)
        site.advance(now_s + timing.interval_s)
        energy_j = site.energy_j()
        power_w.append((energy_j - energy_before_j) / timing.interval_s)
        energy_before_j = energy_j
    asked = sum(request.output_tokens for request in requests)
    served = int(sum(site.tokens_by_pool.values()))
    return Outcome(
        energy_j=site.energy_j(),
        power_w=tuple(power_w),
        interval_s=timing.interval_s,
        requests=len(requests),
        requests_finished=site.finished,
        tokens_served=served,
        tokens_lost=asked - served,
        tokens_by_pool=site.tokens_by_pool,
        ttft=site.ttft,
        itl=site.itl,
    )
