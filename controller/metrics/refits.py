"""Metrics of what the refit says of pools' curves; labels are the site's pools, or of closed sets."""

from __future__ import annotations

import math
from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from controller.energy.refit_drift import FIGURES
from controller.lifecycle.diagnostics import PoolRefit
from controller.metrics.naming import NamedMetrics, known, number
from controller.model.fleet import Site


class RefitMetrics:
    """Holds the metrics; `take` only sets values."""

    def __init__(self, registry: CollectorRegistry, site: Site) -> None:
        gauge = NamedMetrics(registry).gauge
        self._pools = {pool.pool_id for pool in site.pools}
        self._value = gauge(
            "refit_estimate",
            "Figure of a pool by what was observed: W, engine_time as a share of the time.",
            ("pool", "figure"),
        )
        self._ratio = gauge(
            "refit_ratio", "Figure of a pool by what was observed over that of its curves.", ("pool", "figure")
        )
        self._sd = gauge("refit_sd", "Standard deviation of refit_estimate.", ("pool", "figure"))
        self._bias = gauge(
            "refit_bias_frac", "Smoothed error of a pool's predicted power, positive where more is drawn.", ("pool",)
        )
        self._computed = gauge(
            "refit_prompts_computed_frac",
            "Share of a pool's prompt tokens that no prefix cache held; NaN where its engines do not tell.",
            ("pool",),
        )
        self._drift = gauge("refit_drift", "1 while a pool has left its curves.", ("pool",))
        self._seen = gauge("refit_observations", "Observations of a pool, by what became of them.", ("pool", "outcome"))

    def take(self, refits: Iterable[PoolRefit]) -> None:
        """Set what the refit says of pools."""
        for refit in refits:
            name = known(refit.pool_id, self._pools)
            self._bias.labels(name).set(refit.bias_frac)
            self._drift.labels(name).set(bool(refit.alarms))
            self._computed.labels(name).set(number(refit.computed_frac))
            self._seen.labels(name, "taken").set(refit.observations)
            self._seen.labels(name, "rejected").set(refit.rejected)
            for figure in refit.figures:
                label = known(figure.name, FIGURES)
                self._value.labels(name, label).set(figure.estimate)
                self._sd.labels(name, label).set(figure.sd)
                self._ratio.labels(name, label).set(figure.estimate / figure.profile if figure.profile else math.nan)
