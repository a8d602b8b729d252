"""The tenants of one worker: whose key a request carries, what it is charged, and what is counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.exchange import Refusal
from router.tenants.charge import Charge
from router.tenants.counts import NO_TENANT, OTHER_TENANTS, RESERVED_NAMES, TenantCounts
from router.tenants.keys import Key, KnownKeys, presented_key
from router.tenants.limits import OwnLimits
from router.tenants.shared_limits import Sharing, TenantBook
from router.tenants.tenant import Tenant, TenantSpec

NEVER_RETRY = b"x-should-retry: false\r\n"
"""OpenAI's clients try every 429 again unless told this."""

_NO_KEY = Refusal(
    401,
    "no_api_key",
    "this router needs an API key; send it as 'Authorization: Bearer KEY' or as 'x-api-key: KEY'",
    code="invalid_api_key",
    fields=b"www-authenticate: Bearer\r\n",
)
BAD_KEY = Refusal(
    401,
    "invalid_api_key",
    "the API key sent is not valid here; ask the operator of this router for one",
    code="invalid_api_key",
    fields=b"www-authenticate: Bearer\r\n",
)
"""A key that was never known, and one that has ended: nothing tells them apart."""


class Roster:
    """Identifies and admits.

    Args:
        specs: the tenants.
        max_labels: how many are counted under their own names, the first ones; the rest share the label ``other``.
        book: where several workers share what tenants use of their limits; None for one that is alone.
    """

    def __init__(self, specs: Sequence[TenantSpec], *, max_labels: int, book: TenantBook | None = None) -> None:
        self._limits: OwnLimits | Sharing = OwnLimits() if book is None else Sharing(book)
        self._tenants: dict[str, Tenant] = {}
        self._keys: KnownKeys[Tenant] = KnownKeys()
        self._counts: dict[str, TenantCounts] = {}
        self.reconfigure(specs, max_labels=max_labels)

    def reconfigure(self, specs: Sequence[TenantSpec], *, max_labels: int) -> None:
        """Know these tenants and their keys and no others; what a tenant has used stays used.

        Keys that are gone end at once, wherever they were found before.
        """
        self._max_labels = max_labels
        old, self._tenants = self._tenants, {}
        limits = self._limits.allow({spec.name: spec.allowance for spec in specs})
        for spec in specs:
            counts = self._counts_of(self._label_of(spec.name))
            tenant = old.get(spec.name)
            if tenant is None:
                tenant = Tenant(spec, limits[spec.name], counts)
            else:
                tenant.spec, tenant.counts = spec, counts
            self._tenants[spec.name] = tenant
        self._keys.replace({tenant: tenant.spec.keys for tenant in self._tenants.values()})

    def identify(self, fields: Mapping[bytes, bytes]) -> Key[Tenant] | Refusal:
        """The known key among a head's fields; whether it has ended is seen from its `until_s`, at each use."""
        presented = presented_key(fields)
        if presented is None:
            return _NO_KEY
        return self._keys.find(presented) or BAD_KEY

    def admit(self, tenant: Tenant, tokens: float, now_s: float) -> Charge | Refusal:
        """Charge a request of about that many tokens, or refuse it."""
        denial = tenant.limits.admit(tokens, now_s)
        if denial is None:
            return Charge(tenant, tokens)
        told = tenant.limits.told_fields()
        return Refusal(
            429,
            denial.reason,
            denial.message,
            denial.retry_after_s,
            code="rate_limit_exceeded",
            fields=told if denial.retry_after_s is not None else told + NEVER_RETRY,
        )

    def count_refusal(self, tenant: Tenant | None, reason: str) -> None:
        """Count a request that was not served; None for one without a tenant."""
        counts = self._counts_of(NO_TENANT) if tenant is None else tenant.counts
        counts.count_refusal(reason)

    def counts(self) -> list[TenantCounts]:
        """All that is counted; tenants that are configured no longer keep what they had."""
        return list(self._counts.values())

    def _label_of(self, name: str) -> str:
        """Its own name while there is room; labels of tenants that are gone take room, as their counts remain."""
        named = len(self._counts.keys() - RESERVED_NAMES)
        return name if name in self._counts or named < self._max_labels else OTHER_TENANTS

    def _counts_of(self, label: str) -> TenantCounts:
        found = self._counts.get(label)
        if found is None:
            found = self._counts[label] = TenantCounts(label)
        return found
