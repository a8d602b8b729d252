"""Metrics of requests' energy: counters by pool, class and tenant, and the accounts that nobody bears.

Labels are bounded: pools and classes are those of the site, classes beyond them are ``other``, tenants are as many as
the routers tell. Counters begin at zero in each process and leave out what was drawn while none ran: one that went on
from a file would go back to it after a crash, which Prometheus takes for a reset and adds all of it once more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter

from controller.energy.joule_share import NOTHING, Share
from controller.lifecycle.joule_accounts import Settlement, Totals
from controller.metrics.naming import NamedMetrics

_ROUNDING = 1e-9
_PHASES = ("prefill", "decode", "idle")


class _Grower:
    """Brings a counter to a sum that only grows but for rounding."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._shown: dict[tuple[str, ...], float] = {}

    def to(self, labels: tuple[str, ...], value: float, *, counts: bool) -> None:
        """The sum is this now; where its growth does not count, the counter stays as it is."""
        grown = value - self._shown.get(labels, 0.0)
        if grown > 0 or labels not in self._shown:
            self._counter.labels(*labels).inc(max(0.0, grown) if counts else 0.0)
            self._shown[labels] = max(0.0, value) if labels not in self._shown else value


class EnergyMetrics:
    """Holds the metrics; every method only sets values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = NamedMetrics(registry)
        gauge, counter = make.gauge, make.counter
        pool_class = ("pool", "class")
        self._energy = _Grower(counter("attributed_energy_joules", "Energy at the GPUs borne.", (*pool_class, "phase")))
        self._accounts = _Grower(
            counter("unborne_energy_joules", "Energy at the GPUs that no request bears.", ("pool", "account"))
        )
        self._unpriced = _Grower(
            counter("unpriced_energy_joules", "Energy borne while a signal was missing.", (*pool_class, "signal"))
        )
        self._tenant_energy = _Grower(
            counter("tenant_energy_joules", "Energy at the GPUs borne, settled.", ("tenant",))
        )
        self._tenant_unpriced = _Grower(
            counter(
                "tenant_unpriced_energy_joules",
                "Energy borne while a signal was missing, settled.",
                ("tenant", "signal"),
            )
        )
        # Negative prices, and marginal emission rates, make them go back, which no counter may.
        self._cost = gauge("attributed_cost_usd", "Cost of the energy borne, at the meter.", pool_class)
        self._carbon = gauge("attributed_carbon_grams", "Emissions of the energy borne, at the meter.", pool_class)
        self._tenant_cost = gauge("tenant_cost_usd", "Cost of the energy borne, settled.", ("tenant",))
        self._tenant_carbon = gauge("tenant_carbon_grams", "Emissions of the energy borne, settled.", ("tenant",))
        self._in_flight = gauge(
            "in_flight_energy_joules", "Energy of requests that have told no tokens yet.", ("pool",)
        )
        self._per_token = gauge(
            "joules_per_output_token",
            "Energy borne over output tokens of the last settlement; NaN without tokens.",
            pool_class,
        )
        self._settled: set[tuple[str, str]] = set()

    def show(self, totals: Totals, in_flight: Mapping[str, Share], *, counts: bool = True) -> None:
        """Set what was told off so far; counters grow by it only where that is this process's to count."""
        for key, share in totals.shares:
            labels = key.pool_id, key.class_id
            for phase, energy_j in zip(_PHASES, (share.prefill_j, share.decode_j, share.idle_j), strict=True):
                self._energy.to((*labels, phase), energy_j, counts=counts)
            self._cost.labels(*labels).set(_usd(share))
            self._carbon.labels(*labels).set(_carbon_g(share))
            self._unpriced.to((*labels, "price"), share.unpriced_j, counts=counts)
            self._unpriced.to((*labels, "carbon"), share.uncounted_j, counts=counts)
        self._show_account("idle", totals.idle, counts=counts)
        self._show_account("unattributed", totals.unattributed, counts=counts)
        for pool_id, share in in_flight.items():
            self._in_flight.labels(pool_id).set(share.energy_j)
        for tenant, share in totals.tenants:
            self._tenant_energy.to((tenant,), share.energy_j, counts=counts)
            self._tenant_cost.labels(tenant).set(_usd(share))
            self._tenant_carbon.labels(tenant).set(_carbon_g(share))
            self._tenant_unpriced.to((tenant, "price"), share.unpriced_j, counts=counts)
            self._tenant_unpriced.to((tenant, "carbon"), share.uncounted_j, counts=counts)

    def settle(self, settled: Settlement) -> None:
        """Set what a settlement says of tokens."""
        known = {
            (pool_id, class_id): joules
            for pool_id, by_class in settled.j_per_output_token().items()
            for class_id, joules in by_class.items()
        }
        self._settled |= known.keys()
        for labels in self._settled:
            self._per_token.labels(*labels).set(known.get(labels, math.nan))

    def _show_account(self, account: str, shares: Iterable[tuple[str, Share]], *, counts: bool) -> None:
        for pool_id, share in shares:
            if share != NOTHING:
                self._accounts.to((pool_id, account), share.energy_j, counts=counts)


def _usd(share: Share) -> float:
    """What is known of its cost; NaN where no joule of it was priced."""
    return share.usd if _is_told(share, share.unpriced_j) else math.nan


def _carbon_g(share: Share) -> float:
    """What is known of its emissions, g; NaN where no joule of it was counted."""
    return share.carbon_kg * 1e3 if _is_told(share, share.uncounted_j) else math.nan


def _is_told(share: Share, untold_j: float) -> bool:
    """Whether more than rounding of the energy was not untold."""
    return share.energy_j - untold_j > _ROUNDING * share.energy_j
