"""The charts of the study's report. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from controller.study.charts import Chart, Series, Style, XyChart
from controller.study.offline_routing.result import Online, Result
from controller.units import joules_to_kwh


def frontier(result: Result) -> Chart:
    """Energy against accuracy: the sweep, a router blind to length, single models, and what was chosen."""
    points = sorted((s.point for s in result.sweep), key=lambda point: point.energy_j)
    blind = sorted((s.blind_energy_j, s.point.accuracy_frac) for s in result.sweep if s.blind_energy_j is not None)
    series = [
        Series(
            "a coefficient a query",
            tuple(joules_to_kwh(p.energy_j) for p in points),
            tuple(p.accuracy_frac * 100 for p in points),
        ),
        Series(
            "a coefficient a model",
            tuple(joules_to_kwh(energy_j) for energy_j, _ in blind),
            tuple(accuracy * 100 for _, accuracy in blind),
            Style.DASHED,
        ),
        Series(
            "chosen",
            tuple(joules_to_kwh(c.point.energy_j) for c in result.choices),
            tuple(c.point.accuracy_frac * 100 for c in result.choices),
            Style.POINTS,
        ),
    ]
    series += [
        Series(a.model, (joules_to_kwh(a.point.energy_j),), (a.point.accuracy_frac * 100,), Style.POINTS)
        for a in result.alone
        if a.point is not None
    ]
    return XyChart("Energy and accuracy", "energy, kWh", "accuracy, %", tuple(series))


def shares(result: Result) -> Chart:
    """Queries of each model over zeta."""
    zetas = tuple(s.point.zeta for s in result.sweep)
    return XyChart(
        "Who answers, by zeta",
        "zeta (0: accuracy alone, 1: energy alone)",
        "queries",
        tuple(
            Series(name, zetas, tuple(float(s.point.queries[k]) for s in result.sweep))
            for k, name in enumerate(result.models)
        ),
    )


def waits(online: Online) -> Chart:
    """Mean wait over zeta, without and with sight of the queues."""
    zetas = tuple(s.zeta for s in online.sweep)

    def seen(values: Iterable[float]) -> tuple[float | None, ...]:
        return tuple(value if value > 0 else None for value in values)

    return XyChart(
        "Mean wait, by zeta",
        "zeta",
        "mean wait, s",
        (
            Series("cost alone", zetas, seen(s.unaware.wait_mean_s for s in online.sweep)),
            Series("cost and the price of waiting", zetas, seen(s.aware.wait_mean_s for s in online.sweep)),
        ),
        log_y=True,
        note="A gap: nobody waits.",
    )
