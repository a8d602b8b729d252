"""The charts of the study's report. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controller.model.grid import GridEvent, limit_at
from controller.study.charts import Chart, Series, Style, XyChart
from controller.study.site.make_site import SiteCase
from controller.study.site.play import Played
from controller.study.site.result import SiteResult, over_span
from router.contract import Precision

_POINTS = 720
"""Most points of a line."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a report is made from."""

    case: SiteCase
    fixed: Played
    controlled: Played
    events: tuple[GridEvent, ...]
    result: SiteResult


def charts(found: Found) -> tuple[Chart, ...]:
    """Power by precision against limit and price; quality budgets; what waits; instances by state."""
    optional = (_budgets(found), _queues(found))
    return (_power(found), *(chart for chart in optional if chart is not None), _instances(found))


def _power(found: Found) -> Chart:
    case, played = found.case, found.controlled
    count = len(played.power_w)
    hours = _thinned(np.arange(count) * case.interval_s / 3600.0)
    series = []
    for precision in Precision:
        members = [k for k, pool in enumerate(case.site.pools) if pool.precision is precision]
        if members:
            kilowatts = _means(played.pools_w[:, members].sum(axis=1) / 1000.0)
            series.append(Series(precision.value, hours, kilowatts, Style.AREA))
    rest = played.power_w - played.pools_w.sum(axis=1)
    if rest.max() > 1.0:
        series.append(Series("other", hours, _means(rest / 1000.0), Style.AREA))
    series.append(Series("fixed bf16 fleet", hours, _means(found.fixed.power_w / 1000.0)))
    limits = [limit_at(found.events, case.site.import_limit_w, time_s) for time_s in _thinned(case.times_s)]
    if any(limit is not None for limit in limits):
        told = tuple(None if limit is None else limit / 1000.0 for limit in limits)
        series.append(Series("limit", hours, told, Style.DASHED))
    price = _thinned(over_span(case, case.signals.price_usd_per_mwh))
    return XyChart(
        "Power at the meter by precision, limit and price",
        "hour",
        "kW",
        (*series, Series("price", hours, price, Style.STEP, right=True)),
        right_label="USD/MWh",
        bands=_bands(found),
    )


def _budgets(found: Found) -> Chart | None:
    case, records = found.case, found.controlled.records
    hours = _thinned(np.arange(len(records)) * case.tick_s / 3600.0)
    series = []
    for r, cls in enumerate(case.site.classes):
        left = [record.quality_left_frac[r] for record in records][:: _stride(len(records))]
        if any(value is not None for value in left):
            percent = tuple(None if value is None else 100.0 * value for value in left)
            series.append(Series(str(cls.class_id), hours, percent))
    if not series:
        return None
    return XyChart(
        "Quality budget left", "hour", "% of what the window's tokens allow", tuple(series), bands=_bands(found)
    )


def _queues(found: Found) -> Chart | None:
    """What waits at the router, where anything ever does."""
    case, queued = found.case, found.controlled.queued
    if queued.max() < 1.0:
        return None
    hours = _thinned(np.arange(len(queued)) * case.interval_s / 3600.0)
    series = tuple(
        Series(str(cls.class_id), hours, _means(queued[:, r] / 1000.0), Style.AREA)
        for r, cls in enumerate(case.site.classes)
    )
    return XyChart("Waiting at the router", "hour", "1,000 output tokens", series, bands=_bands(found))


def _instances(found: Found) -> Chart:
    case, records = found.case, found.controlled.records
    hours = _thinned(np.arange(len(records)) * case.tick_s / 3600.0)
    kept = records[:: _stride(len(records))]
    series = [
        Series(f"{pool.pool_id} on", hours, tuple(float(record.pools[k].on) for record in kept), Style.STEP)
        for k, pool in enumerate(case.site.pools)
    ]
    for name in ("changing", "sleeping", "off"):
        counts = tuple(float(sum(getattr(pool, name) for pool in record.pools)) for record in kept)
        if any(counts):
            series.append(Series(name, hours, counts, Style.STEP))
    return XyChart("Instances by state", "hour", "instances", tuple(series), bands=_bands(found))


def _bands(found: Found) -> tuple[tuple[float, float, str], ...]:
    start_s = found.case.start_s
    return tuple(
        ((event.start_s - start_s) / 3600.0, (event.end_s - start_s) / 3600.0, event.event_id) for event in found.events
    )


def _stride(count: int) -> int:
    return max(1, math.ceil(count / _POINTS))


def _thinned(values: np.ndarray) -> tuple[float, ...]:
    """Every so manieth value."""
    return tuple(values[:: _stride(len(values))].tolist())


def _means(values: np.ndarray) -> tuple[float, ...]:
    """Means of as many neighbours as `_thinned` takes one of."""
    stride = _stride(len(values))
    return tuple(float(values[start : start + stride].mean()) for start in range(0, len(values), stride))
