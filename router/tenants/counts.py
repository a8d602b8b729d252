"""What is counted by tenant. Pure; encodable with msgspec."""

from __future__ import annotations

import msgspec

OTHER_TENANTS = "other"
"""Label of all tenants beyond `max_tenant_labels`."""
NO_TENANT = "none"
"""Label of requests without a key that is known."""
RESERVED_NAMES = frozenset({OTHER_TENANTS, NO_TENANT})


class TenantCounts(msgspec.Struct):
    """What happened to the requests of one tenant, or of several that share a label.

    Attributes:
        tenant: the label.
        requests: admitted.
        in_flight: admitted and not yet ended.
        input_tokens, output_tokens: as told by the engines, else estimated.
        refused: not served, by reason.
        used: [input, output] tokens by class and pool.
    """

    tenant: str
    requests: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    refused: dict[str, int] = {}
    used: dict[str, dict[str, list[int]]] = {}

    def count_refusal(self, reason: str) -> None:
        """A request was not served."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def place(self, class_id: str, pool_id: str, input_tokens: int, output_tokens: int) -> None:
        """Count where tokens were used."""
        by_pool = self.used.setdefault(class_id, {})
        used = by_pool.setdefault(pool_id, [0, 0])
        used[0] += input_tokens
        used[1] += output_tokens

    def add(self, other: TenantCounts) -> None:
        """Add another worker's counts."""
        self.requests += other.requests
        self.in_flight += other.in_flight
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        for reason, count in other.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + count
        for class_id, by_pool in other.used.items():
            for pool_id, (input_tokens, output_tokens) in by_pool.items():
                self.place(class_id, pool_id, input_tokens, output_tokens)


def merge_tenants(whole: list[TenantCounts], more: list[TenantCounts]) -> None:
    """Add another worker's tenants to those of this one."""
    known = {counts.tenant: counts for counts in whole}
    for counts in more:
        mine = known.get(counts.tenant)
        if mine is None:
            whole.append(counts)
        else:
            mine.add(counts)
