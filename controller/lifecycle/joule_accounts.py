"""The sums of the energy account: of all time, and of the present settlement interval; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from controller.energy.attribution import Tokens
from controller.energy.joule_share import NOTHING, Share
from controller.lifecycle.instance_meter import Metered
from controller.model.observation import Quality, TenantTokens


@dataclass(frozen=True, slots=True, order=True)
class PoolClass:
    """What energy is told off by."""

    pool_id: str
    class_id: str


@dataclass(frozen=True, slots=True)
class Totals:
    """All that was told off, for the next process to go on from.

    Attributes:
        shares: by pool and class.
        idle, unattributed: by pool.
        tenants: by label.
    """

    shares: tuple[tuple[PoolClass, Share], ...] = ()
    idle: tuple[tuple[str, Share], ...] = ()
    unattributed: tuple[tuple[str, Share], ...] = ()
    tenants: tuple[tuple[str, Share], ...] = ()


NO_TOTALS = Totals()
"""Nothing was told off yet."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One interval of the account.

    Of each pool::

        metered = Σ shares + idle + unattributed + in flight at its end - in flight at its beginning        [J]

    Attributes:
        metered_j, estimated_j: by pool; the second is the part of the first for which the model stood in.
        shares, tokens: by pool and class.
        tenants: by label; empty where there are no tenants.
    """

    began_s: float
    ended_s: float
    metered_j: Mapping[str, float]
    estimated_j: Mapping[str, float]
    qualities: frozenset[Quality]
    shares: Mapping[PoolClass, Share]
    tokens: Mapping[PoolClass, Tokens]
    idle: Mapping[str, Share]
    unattributed: Mapping[str, Share]
    in_flight_before: Mapping[str, Share]
    in_flight_after: Mapping[str, Share]
    tenants: Mapping[str, Share]

    @property
    def attributed_j(self) -> float:
        """What all accounts hold together; equal to the metered energy."""
        parts = (self.shares, self.idle, self.unattributed, self.in_flight_after)
        booked_j = sum(share.energy_j for part in parts for share in part.values())
        return booked_j - sum(share.energy_j for share in self.in_flight_before.values())

    def j_per_output_token(self) -> dict[str, dict[str, float]]:
        """Energy borne over output tokens by pool and class, of those with tokens."""
        found: dict[str, dict[str, float]] = {}
        for key, share in self.shares.items():
            tokens = self.tokens[key].decode
            if tokens > 0:
                found.setdefault(key.pool_id, {})[key.class_id] = share.energy_j / tokens
        return found

    def record(self) -> dict[str, Any]:
        """As the ledger keeps it; energies in J, emissions in kg."""
        return {
            "began_s": self.began_s,
            "ended_s": self.ended_s,
            "metered_j": dict(self.metered_j),
            "estimated_j": dict(self.estimated_j),
            "quality": sorted(quality.value for quality in self.qualities),
            "classes": [
                {**asdict(key), **asdict(share), **_tokens(self.tokens.get(key, Tokens()))}
                for key, share in sorted(self.shares.items(), key=lambda item: item[0])
            ],
            "idle": _plain(self.idle),
            "unattributed": _plain(self.unattributed),
            "in_flight_before": _plain(self.in_flight_before),
            "in_flight_after": _plain(self.in_flight_after),
            "tenants": _plain(self.tenants),
        }


def _tokens(tokens: Tokens) -> dict[str, float]:
    return {"input_tokens": tokens.prefill, "output_tokens": tokens.decode}


def _plain(shares: Mapping[str, Share]) -> dict[str, dict[str, float]]:
    return {name: asdict(share) for name, share in sorted(shares.items()) if share != NOTHING}


class Accounts:
    """Adds up what is told off."""

    def __init__(self, totals: Totals) -> None:
        """Go on from these totals."""
        self._shares = dict(totals.shares)
        self._idle = dict(totals.idle)
        self._unattributed = dict(totals.unattributed)
        self._tenants = dict(totals.tenants)
        self._due: dict[PoolClass, Share] = {}
        self._tenants_told: dict[tuple[PoolClass, str], Tokens] = {}
        self._began_s: float | None = None
        self._open({})

    @property
    def totals(self) -> Totals:
        """All that was told off so far."""
        return Totals(
            tuple(sorted(self._shares.items(), key=lambda item: item[0])),
            tuple(sorted(self._idle.items())),
            tuple(sorted(self._unattributed.items())),
            tuple(sorted(self._tenants.items())),
        )

    @property
    def due(self) -> tuple[tuple[PoolClass, Share], ...]:
        """What waits for tenants to tell tokens."""
        return tuple(sorted(self._due.items(), key=lambda item: item[0]))

    def resume(
        self,
        began_s: float,
        in_flight: Mapping[str, Share],
        due: Iterable[tuple[PoolClass, Share]],
        tenants: tuple[TenantTokens, ...],
    ) -> None:
        """Go on with the interval that a former process began as it settled."""
        self._began_s, self._due, self._tenants_told = began_s, dict(due), _by_tenant(tenants)
        self._open(in_flight)

    def begin(self, now_s: float, in_flight: Mapping[str, Share], tenants: tuple[TenantTokens, ...]) -> None:
        """Begin the first interval, unless it has begun: what was told before is nobody's interval."""
        if self._began_s is None:
            self._began_s = now_s
            self._tenants_told = _by_tenant(tenants)
            self._open(in_flight)

    def meter(self, pool_id: str, metered: Metered) -> None:
        """Count what was metered."""
        self._metered_j[pool_id] = self._metered_j.get(pool_id, 0.0) + metered.energy_j
        self._qualities.add(metered.quality)
        if metered.is_modelled:
            self._estimated_j[pool_id] = self._estimated_j.get(pool_id, 0.0) + metered.energy_j

    def add(self, key: PoolClass, share: Share, tokens: Tokens) -> None:
        """Tell off to a class."""
        self._now_shares[key] = self._now_shares.get(key, NOTHING) + share
        had = self._now_tokens.get(key, Tokens())
        self._now_tokens[key] = Tokens(had.prefill + tokens.prefill, had.decode + tokens.decode)
        self._shares[key] = self._shares.get(key, NOTHING) + share
        self._due[key] = self._due.get(key, NOTHING) + share

    def leave(self, pool_id: str, *, idle: Share, unattributed: Share) -> None:
        """Tell off to nobody."""
        for share, now, total in (
            (idle, self._now_idle, self._idle),
            (unattributed, self._now_unattributed, self._unattributed),
        ):
            if share != NOTHING:
                now[pool_id] = now.get(pool_id, NOTHING) + share
                total[pool_id] = total.get(pool_id, NOTHING) + share

    def is_due(self, now_s: float, settle_s: float) -> bool:
        """Whether the interval has lasted long enough."""
        return self._began_s is not None and now_s - self._began_s >= settle_s

    def settle(self, now_s: float, in_flight: Mapping[str, Share], tenants: tuple[TenantTokens, ...]) -> Settlement:
        """End the interval and begin the next."""
        by_tenant = self._settle_tenants(_by_tenant(tenants)) if tenants else {}
        settled = Settlement(
            began_s=now_s if self._began_s is None else self._began_s,
            ended_s=now_s,
            metered_j=self._metered_j,
            estimated_j=self._estimated_j,
            qualities=frozenset(self._qualities),
            shares=self._now_shares,
            tokens=self._now_tokens,
            idle=self._now_idle,
            unattributed=self._now_unattributed,
            in_flight_before=self._in_flight,
            in_flight_after=dict(in_flight),
            tenants=by_tenant,
        )
        if not tenants:
            self._due.clear()
        self._began_s = now_s
        self._open(in_flight)
        return settled

    def _open(self, in_flight: Mapping[str, Share]) -> None:
        self._metered_j: dict[str, float] = {}
        self._estimated_j: dict[str, float] = {}
        self._qualities: set[Quality] = set()
        self._now_shares: dict[PoolClass, Share] = {}
        self._now_tokens: dict[PoolClass, Tokens] = {}
        self._now_idle: dict[str, Share] = {}
        self._now_unattributed: dict[str, Share] = {}
        self._in_flight = dict(in_flight)

    def _settle_tenants(self, now: dict[tuple[PoolClass, str], Tokens]) -> dict[str, Share]:
        """What is due to tenants, to those who told tokens; where nobody did, it waits."""
        grown: dict[PoolClass, dict[str, Tokens]] = {}
        for (key, tenant), tokens in now.items():
            had = self._tenants_told.get((key, tenant), Tokens())
            more = Tokens(max(0.0, tokens.prefill - had.prefill), max(0.0, tokens.decode - had.decode))
            if more:
                grown.setdefault(key, {})[tenant] = more
        self._tenants_told = now
        found: dict[str, Share] = {}
        for key, by_tenant in grown.items():
            for tenant, share in split(self._due.pop(key, NOTHING), by_tenant).items():
                found[tenant] = found.get(tenant, NOTHING) + share
                self._tenants[tenant] = self._tenants.get(tenant, NOTHING) + share
        return found


def _by_tenant(tenants: Iterable[TenantTokens]) -> dict[tuple[PoolClass, str], Tokens]:
    return {
        (PoolClass(each.pool_id, each.class_id), each.tenant): Tokens(each.input_tokens, each.output_tokens)
        for each in tenants
    }


def split(share: Share, tokens: Mapping[str, Tokens]) -> dict[str, Share]:
    """A share parted by tokens: prefill energy by prompt tokens, decode energy by output tokens, the rest by both."""
    prefill = sum(each.prefill for each in tokens.values())
    decode = sum(each.decode for each in tokens.values())
    parts: dict[str, Share] = {}
    active_j = share.prefill_j + share.decode_j
    for name, each in tokens.items():
        both = (each.prefill + each.decode) / (prefill + decode)
        prefill_j = share.prefill_j * (each.prefill / prefill if prefill > 0 else both)
        decode_j = share.decode_j * (each.decode / decode if decode > 0 else both)
        idle_j = share.idle_j * ((prefill_j + decode_j) / active_j if active_j > 0 else both)
        part = Share(prefill_j, decode_j, idle_j)
        parts[name] = part.costing(share, part.energy_j / share.energy_j if share.energy_j > 0 else both)
    return parts
