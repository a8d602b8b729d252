"""Tokens by instance and class, and by tenant, as routers report them; pure.

A stream under way counts what came so far, which its engine may correct at its end: a count that goes back is held
until it grows again. A router seen for the first time begins at what it has counted, as its past is nobody's interval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from controller.model.observation import SpentTokens, TenantTokens
from controller.signals.router_fields import count_of, list_of, name_of, object_of
from router.contract import ClassId, InstanceId, PoolId

MAX_CLASSES = 1024
MAX_TENANTS = 10_001
"""As many labels as a router may be set to tell, and that of all others."""
MAX_ENTRIES = 262_144
MAX_KEPT = 100_000
"""Entries that are kept over a restart."""

Key = tuple[str, str, str]
"""("", instance, class) or (tenant, pool, class); no tenant has an empty name."""
Pair = tuple[float, float]


Counts = tuple[tuple[str, str, str, float, float], ...]
"""Keys with their tokens."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """What was counted so far, for the next process to go on from.

    Attributes:
        totals: summed over routers and their restarts.
        routers: (address, its counters as last seen).
    """

    totals: Counts = ()
    routers: tuple[tuple[str, Counts], ...] = ()


_NONE: Pair = (0.0, 0.0)
NO_COUNTS = TokenCounts()
"""Nothing was counted yet."""


class TokenTotals:
    """Sums what routers report, so that the sums only grow."""

    def __init__(self, counted: TokenCounts = NO_COUNTS) -> None:
        """Begin to count, or go on from what a former process had counted."""
        self._totals = _as_map(counted.totals)
        self._last: dict[str, Mapping[Key, Pair]] = {url: _as_map(counts) for url, counts in counted.routers}
        self._resumed = set(self._last)

    @property
    def counted(self) -> TokenCounts:
        """What was counted so far; without tenants where these are too many to be kept each minute."""
        entries = len(self._totals) + sum(map(len, self._last.values()))
        tenants = entries <= MAX_KEPT
        routers = ((url, _as_counts(counts, tenants=tenants)) for url, counts in sorted(self._last.items()))
        return TokenCounts(_as_counts(self._totals, tenants=tenants), tuple(routers))

    def take(self, router: str, now: Mapping[Key, Pair], *, restarted: bool) -> None:
        """Take in one router's counters."""
        known = self._last.get(router)
        if known is None:
            known = now
            self._totals = dict.fromkeys(now, (0.0, 0.0)) | self._totals
        if router in self._resumed:  # it may have restarted since, unseen by anybody
            self._resumed.discard(router)
            restarted = restarted or _served(now) < 0.5 * _served(known)
            if not any(tenant for tenant, _, _ in known):  # they were too many to be kept: they begin at what they have
                known = {key: pair for key, pair in now.items() if key[0]} | dict(known)
        before = {} if restarted else known
        held: dict[Key, Pair] = {}
        for key, (inputs, outputs) in now.items():
            had = before.get(key, _NONE)
            if had == (inputs, outputs) and key in self._totals:
                held[key] = had
                continue
            held[key] = max(had[0], inputs), max(had[1], outputs)
            total = self._totals.get(key, _NONE)
            self._totals[key] = total[0] + held[key][0] - had[0], total[1] + held[key][1] - had[1]
        self._last[router] = held

    def keep_only(self, routers: Collection[str]) -> None:
        """Forget what routers that have ended had told last; the sums stay."""
        self._last = {name: told for name, told in self._last.items() if name in routers or name in self._resumed}

    @property
    def spent(self) -> tuple[SpentTokens, ...]:
        """By instance and class."""
        return tuple(
            SpentTokens(InstanceId(instance), ClassId(class_id), *total)
            for (tenant, instance, class_id), total in sorted(self._totals.items())
            if not tenant
        )

    @property
    def tenants(self) -> tuple[TenantTokens, ...]:
        """By tenant, class and pool."""
        return tuple(
            TenantTokens(tenant, ClassId(class_id), PoolId(pool), *total)
            for (tenant, pool, class_id), total in sorted(self._totals.items())
            if tenant
        )


def _served(counters: Mapping[Key, Pair]) -> float:
    return sum(sum(pair) for (tenant, _, _), pair in counters.items() if not tenant)


def _as_map(counts: Counts) -> dict[Key, Pair]:
    return {(tenant, place, class_id): (inputs, outputs) for tenant, place, class_id, inputs, outputs in counts}


def _as_counts(values: Mapping[Key, Pair], *, tenants: bool) -> Counts:
    return tuple((*key, *values[key]) for key in sorted(values) if tenants or not key[0])


def read_tokens(data: Mapping[str, Any]) -> tuple[dict[Key, Pair], dict[str, int]]:
    """The tokens in a router's /state, and the streams under way by instance; a router that tells none gives none.

    Raises:
        ValueError: the place and the value of what is malformed.
    """
    tokens: dict[Key, Pair] = {}
    streams: dict[str, int] = {}
    for index, entry in enumerate(list_of(data.get("instances", []), "instances", MAX_ENTRIES)):
        where = f"instances[{index}]"
        name = name_of(entry, "instance_id", where)
        for class_id, counts in object_of(entry.get("tokens", {}), f"{where}.tokens", MAX_CLASSES).items():
            if type(counts) is not dict:
                raise ValueError(f"{where}.tokens.{class_id} is not an object")
            inputs = count_of(counts.get("input"), where, "tokens", class_id, "input")
            tokens["", name, class_id] = inputs, count_of(counts.get("output"), where, "tokens", class_id, "output")
            under_way = round(count_of(counts.get("streams", 0), where, "tokens", class_id, "streams"))
            streams[name] = streams.get(name, 0) + under_way
    for index, entry in enumerate(list_of(data.get("tenants", []), "tenants", MAX_TENANTS)):
        tokens |= _of_tenant(entry, f"tenants[{index}]")
    if len(tokens) > MAX_ENTRIES:
        raise ValueError(f"tokens are told by {len(tokens)} names, more than {MAX_ENTRIES}")
    return tokens, streams


def _of_tenant(entry: Any, where: str) -> dict[Key, Pair]:
    tenant = name_of(entry, "tenant", where)
    found: dict[Key, Pair] = {}
    for class_id, by_pool in object_of(entry.get("tokens", {}), f"{where}.tokens", MAX_CLASSES).items():
        for pool_id, pair in object_of(by_pool, f"{where}.tokens.{class_id}", MAX_CLASSES).items():
            place = f"{where}.tokens.{class_id}.{pool_id}"
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError(f"{place} is {pair!r:.40}, [input, output] is expected")
            found[tenant, pool_id, class_id] = count_of(pair[0], place), count_of(pair[1], place)
    return found
