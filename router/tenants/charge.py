"""What one request costs its tenant, from its admission to its end. Pure."""

from __future__ import annotations

from router.tenants.tenant import Tenant


class Charge:
    """One admitted request.

    A request may be in several places one after the other, and for a moment in two: in a queue, at an instance, at
    the instance of its next attempt. Each place holds the charge; when none does, the request has ended, its place
    among the tenant's requests in flight is free again and its tokens are corrected. A request that was given up by
    its last place and is taken up by another is counted again.

    Attributes:
        tenant: name of the tenant.
        tokens: charged in advance: the estimate of its input and the output expected.
    """

    __slots__ = ("_counts", "_holds", "_is_open", "_limits", "tenant", "tokens")

    def __init__(self, tenant: Tenant, tokens: float) -> None:
        self.tenant = tenant.spec.name
        self._limits = tenant.limits
        # A changed configuration may count the tenant elsewhere; what began here ends here.
        self._counts = counts = tenant.counts
        self._holds = 0
        self._is_open = True
        self.tokens = tokens
        counts.requests += 1
        counts.in_flight += 1

    def hold(self) -> None:
        """The request is in one more place."""
        self._holds += 1
        if not self._is_open:
            self._is_open = True
            self._counts.in_flight += 1
            self._limits.enter(self.tokens)

    def drop(self, actual_tokens: float) -> None:
        """It is in one place less; `actual_tokens` is what it was if that was the last."""
        self._holds -= 1
        self.end_unless_held(actual_tokens)

    def end_unless_held(self, actual_tokens: float = 0.0) -> None:
        """It will not be served, unless some place has it."""
        if self._is_open and self._holds <= 0:
            self._is_open = False
            self._counts.in_flight -= 1
            self._limits.leave(self.tokens, actual_tokens)

    def count(self, *, input_tokens: int, output_tokens: int) -> None:
        """Count what an attempt used."""
        self._counts.input_tokens += input_tokens
        self._counts.output_tokens += output_tokens

    def settle(self, *, input_tokens: int, output_tokens: int, is_known: bool) -> None:
        """An attempt has ended: count what it used, and leave its place.

        The charge stands where the client left before anything told what it cost the engine, so that this is not known.
        """
        self.count(input_tokens=input_tokens, output_tokens=output_tokens)
        self.drop(input_tokens + output_tokens if is_known else self.tokens)

    def place(self, class_id: str, pool_id: str, input_tokens: int, output_tokens: int) -> None:
        """Count where an attempt's tokens were used."""
        self._counts.place(class_id, pool_id, input_tokens, output_tokens)

    def refused(self, reason: str) -> None:
        """Count that it is not served after all."""
        self._counts.count_refusal(reason)

    def told_fields(self) -> bytes:
        """The x-ratelimit-* lines of the answer, each ended by CRLF; empty where no rate is limited."""
        return self._limits.told_fields()
