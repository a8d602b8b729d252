"""What a simulated router counts of one class of requests. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from router.contract import PoolId


@dataclass(slots=True)
class Amount:
    """Requests with their tokens."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, input_tokens: int, output_tokens: int) -> None:
        """Count a request."""
        self.requests += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens

    def take(self, input_tokens: int, output_tokens: int) -> None:
        """Count a request no more."""
        self.requests -= 1
        self.input_tokens -= input_tokens
        self.output_tokens -= output_tokens

    def as_tuple(self) -> tuple[int, int, int]:
        """Requests, prompt tokens, output tokens."""
        return self.requests, self.input_tokens, self.output_tokens


@dataclass(slots=True)
class ClassCounters:
    """One class, as a router keeps it.

    Attributes:
        asked: all that came.
        served: answered whole.
        lost: cut off by a stopped engine.
        queued: waiting at the router now.
        in_flight: requests on instances now.
        tokens_by_pool: output tokens of the served, where they were served.
        sent_by_pool: output tokens handed to each pool since its share was last changed.
    """

    asked: Amount = field(default_factory=Amount)
    served: Amount = field(default_factory=Amount)
    lost: Amount = field(default_factory=Amount)
    queued: Amount = field(default_factory=Amount)
    in_flight: int = 0
    tokens_by_pool: dict[PoolId, float] = field(default_factory=dict)
    sent_by_pool: dict[PoolId, float] = field(default_factory=dict)
