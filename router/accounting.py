"""What one worker counts: requests, tokens, refusals and latencies, by class and pool. Pure.

Answers are only noted as they end and counted many at a time, which takes half as long; exposition and sums over
workers are made from `Snapshot` when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from router.contract import ClassId, PoolId
from router.exchange import Ask, Outcome
from router.histogram import Histogram
from router.openai import Usage

BYTES_PER_TOKEN = 4
"""Of a request body: the estimate of its input tokens where the engine tells no usage."""

TTFT_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
ITL_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.5, 1.0, 2.5)
QUEUE_WAIT_BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
TOKEN_BOUNDS = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576)
"""As OpenTelemetry has them for gen_ai.client.token.usage, less the largest."""
OVERHEAD_BOUNDS_S = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
DURATION_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0, 480.0, 960.0)

_OK = Outcome.OK  # an enumeration's members are slow to reach
_NO_TOKENS = Usage(0, 0)


class Traffic(msgspec.Struct):
    """What one class had of one pool.

    Attributes:
        outcomes: attempts that ended, by outcome.
        degraded: attempts at a lower precision than the best the request might have had.
        queue_wait: of the requests that had to wait for a slot.
        input_sizes, output_sizes: tokens of one answer that has any.
        input_tokens, output_tokens: as told by the engines, else estimated.
    """

    class_id: str
    pool_id: str
    outcomes: dict[str, int]
    ttft: Histogram
    itl: Histogram
    duration: Histogram
    queue_wait: Histogram
    input_sizes: Histogram
    output_sizes: Histogram
    degraded: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def empty(cls, class_id: str, pool_id: str) -> Traffic:
        """Nothing counted yet."""
        return cls(
            class_id,
            pool_id,
            {},
            Histogram.empty(TTFT_BOUNDS_S),
            Histogram.empty(ITL_BOUNDS_S),
            Histogram.empty(DURATION_BOUNDS_S),
            Histogram.empty(QUEUE_WAIT_BOUNDS_S),
            Histogram.empty(TOKEN_BOUNDS),
            Histogram.empty(TOKEN_BOUNDS),
        )

    def failed(self, outcome: Outcome, tokens: Usage, *, degraded: bool) -> None:
        """Count an attempt that ended otherwise."""
        self.outcomes[outcome.value] = self.outcomes.get(outcome.value, 0) + 1
        self.input_tokens += tokens.input_tokens
        self.output_tokens += tokens.output_tokens
        if degraded:
            self.degraded += 1

    def add(self, other: Traffic) -> None:
        """Add another worker's counts."""
        add_counts(self.outcomes, other.outcomes)
        self.ttft.add(other.ttft)
        self.itl.add(other.itl)
        self.duration.add(other.duration)
        self.queue_wait.add(other.queue_wait)
        self.input_sizes.add(other.input_sizes)
        self.output_sizes.add(other.output_sizes)
        self.degraded += other.degraded
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An attempt that ended well.

    Attributes:
        ttft_s: of a stream, None of a plain answer.
        degraded: at a lower precision than the best the request might have had.
    """

    tokens: Usage
    duration_s: float
    ttft_s: float | None
    degraded: bool


class Tally:
    """What one class had of one pool, as it comes.

    Attributes:
        traffic: what was counted, as of the last `settle`, but for what did not end well, which is there at once.
        answers: that ended since.
        ttfts_s: of answers that began since.
    """

    __slots__ = ("answers", "traffic", "ttfts_s")

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.answers: list[Answer] = []
        self.ttfts_s: list[float] = []

    def settle(self) -> None:
        """Count what came since the last time. Call it several times a second."""
        if self.ttfts_s:
            self.traffic.ttft.observe_all(self.ttfts_s)
            self.ttfts_s.clear()
        if self.answers:
            self._count(self.answers)
            self.answers.clear()

    def _count(self, answers: list[Answer]) -> None:
        traffic = self.traffic
        traffic.outcomes["ok"] = traffic.outcomes.get("ok", 0) + len(answers)
        traffic.degraded += sum([answer.degraded for answer in answers])
        traffic.input_tokens += sum([answer.tokens.input_tokens for answer in answers])
        traffic.output_tokens += sum([answer.tokens.output_tokens for answer in answers])
        traffic.duration.observe_all([answer.duration_s for answer in answers])
        traffic.itl.observe_all(
            [
                max(0.0, answer.duration_s - answer.ttft_s) / (answer.tokens.output_tokens - 1)
                for answer in answers
                if answer.ttft_s is not None and answer.tokens.output_tokens > 1
            ]
        )
        usages = [answer.tokens for answer in answers if answer.tokens.output_tokens]
        traffic.input_sizes.observe_all([usage.input_tokens for usage in usages])
        traffic.output_sizes.observe_all([usage.output_tokens for usage in usages])


class ClassCounts(msgspec.Struct):
    """What happened to the requests of one class, whatever the pool.

    Attributes:
        requests: accepted for routing.
        finished: answered to the end.
        in_flight: slots held now.
        queued, queued_bytes: waiting now, and the bytes of their bodies.
        off_allocation: served by a pool without weight, because none with weight could.
        last_means: sent to an ejected instance that had answered its last probe, because no other could serve.
        refused: not served, by reason.
    """

    class_id: str
    requests: int = 0
    finished: int = 0
    in_flight: int = 0
    queued: int = 0
    queued_bytes: int = 0
    off_allocation: int = 0
    last_means: int = 0
    refused: dict[str, int] = {}

    def add(self, other: ClassCounts) -> None:
        """Add another worker's counts."""
        self.requests += other.requests
        self.finished += other.finished
        self.in_flight += other.in_flight
        self.queued += other.queued
        self.queued_bytes += other.queued_bytes
        self.off_allocation += other.off_allocation
        self.last_means += other.last_means
        add_counts(self.refused, other.refused)


def add_counts(into: dict[str, int], more: dict[str, int]) -> None:
    """Add counts by name."""
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


def tokens_of(ask: Ask, outcome: Outcome, *, usage: Usage | None, chunks: int) -> Usage:
    """Tokens of an attempt: as told by the engine, else estimated.

    Without usage an event of a stream counts as one output token, and the body's bytes over `BYTES_PER_TOKEN` as the
    input tokens of an answer that at least began. A plain answer without usage (a list of models) counts nothing.
    """
    if usage is not None:
        return usage
    if not ask.facts.stream or (chunks == 0 and outcome is not _OK):
        return _NO_TOKENS
    return Usage(ask.facts.body_bytes // BYTES_PER_TOKEN, chunks)


class Accounts:
    """The counts of one worker.

    Attributes:
        classes: by class.
        unclassified: refusals of requests that have no class, by reason.
        retries: attempts tried again, by the outcome that caused it.
    """

    def __init__(self, class_ids: Iterable[ClassId]) -> None:
        self.classes = {name: ClassCounts(name) for name in class_ids}
        self.unclassified: dict[str, int] = {}
        self.retries: dict[str, int] = {}
        self._tallies: dict[tuple[ClassId, PoolId], Tally] = {}

    def keep(self, class_ids: Iterable[ClassId], pool_ids: Iterable[PoolId]) -> None:
        """Count for these classes and pools from now on; what was counted for others is forgotten."""
        kept, pools = list(class_ids), set(pool_ids)
        self.classes = {name: self.classes.get(name) or ClassCounts(name) for name in kept}
        self._tallies = {
            key: tally for key, tally in self._tallies.items() if key[0] in self.classes and key[1] in pools
        }

    def tally_of(self, class_id: ClassId, pool_id: PoolId) -> Tally:
        """Where to count what a class has of a pool."""
        found = self._tallies.get((class_id, pool_id))
        if found is None:
            found = self._tallies[class_id, pool_id] = Tally(Traffic.empty(class_id, pool_id))
        return found

    def settle(self) -> None:
        """Count what was noted. Call it several times a second, so that not much is noted at a time."""
        for tally in self._tallies.values():
            tally.settle()

    def traffic(self) -> list[Traffic]:
        """What classes had of pools; those that had nothing yet are left out."""
        self.settle()
        found = [tally.traffic for tally in self._tallies.values()]
        return [item for item in found if item.outcomes or any(item.ttft.counts)]

    def refused(self, class_id: ClassId | None, reason: str) -> None:
        """Count a request that was not served; `class_id` is None if it has no class."""
        refused = self.unclassified if class_id is None else self.classes[class_id].refused
        refused[reason] = refused.get(reason, 0) + 1

    def retried(self, outcome: Outcome) -> None:
        """Count an attempt that is tried again."""
        self.retries[outcome.value] = self.retries.get(outcome.value, 0) + 1
