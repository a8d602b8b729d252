"""How much a tenant may have: requests and tokens a minute, and requests at once. Pure; time is an argument.

Where several workers share the public port see `router.tenants.shared_limits`, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from router.tenants.bucket import Bucket
from router.tenants.told import limit_fields

MINUTE_S = 60.0
IN_FLIGHT_RETRY_S = 1.0
"""Retry-After where the tenant's own requests have to end first: nobody knows when they do."""


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """What a tenant may have of the whole router; None is no limit.

    Attributes:
        requests_per_minute: requests admitted in the long run.
        burst: requests admitted at once; one minute's where absent.
        tokens_per_minute: input and output tokens in the long run, and at once.
        max_in_flight: requests waiting or served at once.
    """

    requests_per_minute: float | None = None
    burst: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request is not admitted.

    Attributes:
        reason: ``rate_limited``, ``tokens_limited`` or ``tenant_in_flight``.
        message: for a human; speaks of the tenant's own limits only.
        retry_after_s: when to try again; None where it is vain.
    """

    reason: str
    message: str
    retry_after_s: float | None


class Limits:
    """One tenant's allowance, and what is used of it.

    Attributes:
        in_flight: requests admitted and not yet ended.
    """

    __slots__ = ("_allowance", "_max_in_flight", "_requests", "_tokens", "in_flight")

    def __init__(self, allowance: Allowance) -> None:
        self.in_flight = 0
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None
        self._max_in_flight: float = math.inf
        self.allow(allowance)

    def allow(self, allowance: Allowance) -> None:
        """Follow another allowance from now on; what was used stays used."""
        self._allowance = allowance
        rate, tokens, most = allowance.requests_per_minute, allowance.tokens_per_minute, allowance.max_in_flight
        self._requests = _resized(self._requests, rate, burst=allowance.burst)
        self._tokens = _resized(self._tokens, tokens, burst=tokens)
        self._max_in_flight = math.inf if most is None else most

    def is_limited(self) -> bool:
        """Whether anything is limited."""
        return self._requests is not None or self._tokens is not None or self._max_in_flight != math.inf

    def admit(self, tokens: float, now_s: float) -> Denial | None:
        """Charge one request of that many tokens, or say why not; what is refused is charged nothing."""
        if self.in_flight >= self._max_in_flight:
            return self._too_many()
        requests, bucket = self._requests, self._tokens
        if requests is not None:
            wait_s = requests.wait_s(1.0, now_s)
            if wait_s:
                return self._too_often(wait_s)
        if bucket is not None:
            wait_s = bucket.wait_s(tokens, now_s)
            if wait_s:
                return self._too_much(tokens, wait_s)
            bucket.used += tokens
        if requests is not None:
            requests.used += 1.0
        self.in_flight += 1
        return None

    def enter(self, tokens: float) -> None:
        """Count a request that was admitted earlier and goes on after all."""
        self.in_flight += 1
        if self._tokens is not None:
            self._tokens.used += tokens

    def leave(self, charged: float, actual: float) -> None:
        """A request has ended: correct its charge to the tokens it was."""
        self.in_flight -= 1
        if self._tokens is not None:
            self._tokens.give(charged - actual)

    def is_told(self) -> bool:
        """Whether answers tell of a rate."""
        return self._requests is not None or self._tokens is not None

    def told_fields(self) -> bytes:
        """The x-ratelimit-* lines of an answer; empty where no rate is limited."""
        return limit_fields(b"requests", self._requests) + limit_fields(b"tokens", self._tokens)

    def _too_many(self) -> Denial:
        most = self._allowance.max_in_flight
        return Denial(
            "tenant_in_flight", f"{most} requests at once is this key's limit; let one end first", IN_FLIGHT_RETRY_S
        )

    def _too_often(self, wait_s: float) -> Denial:
        rate = self._allowance.requests_per_minute
        return Denial("rate_limited", f"{rate:g} requests a minute is this key's limit; retry later", wait_s)

    def _too_much(self, tokens: float, wait_s: float) -> Denial:
        most = self._allowance.tokens_per_minute
        if most is not None and tokens > most:
            message = (
                f"about {tokens:.0f} tokens are more than this key's limit of {most} a minute; "
                "shorten the request or lower max_tokens"
            )
            return Denial("tokens_limited", message, None)
        return Denial("tokens_limited", f"{most} tokens a minute is this key's limit; retry later", wait_s)


class OwnLimits:
    """The limits of all tenants where there is one worker."""

    def __init__(self) -> None:
        self._limits: dict[str, Limits] = {}

    def allow(self, allowances: Mapping[str, Allowance]) -> Mapping[str, Limits]:
        """Limits by name for these tenants and no others; what was used stays used."""
        old, self._limits = self._limits, {}
        for name, allowance in allowances.items():
            limits = self._limits[name] = old.get(name) or Limits(allowance)
            limits.allow(allowance)
        return self._limits


def _resized(bucket: Bucket | None, per_minute: float | None, *, burst: float | None) -> Bucket | None:
    if per_minute is None:
        return None
    # One request must be able to pass at least.
    capacity = max(1.0, per_minute if burst is None else burst)
    if bucket is None:
        return Bucket(capacity=capacity, per_s=per_minute / MINUTE_S)
    bucket.resize(capacity=capacity, per_s=per_minute / MINUTE_S)
    return bucket
