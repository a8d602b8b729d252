from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.study.fleet.settings import DemandSettings
from controller.study.fleet.signals import (
    carbon_kg_per_mwh,
    demand_tokens_per_s,
    prices_usd_per_mwh,
    pv_w,
    starts_of,
)
from controller.study.fleet.site_settings import PvSettings
from controller.study.series import SeriesSettings

NOON = datetime(2022, 7, 12, 12, tzinfo=UTC)


def test_a_step_pays_the_price_of_the_hour_it_begins_in() -> None:
    prices = prices_usd_per_mwh("LZ_WEST", starts_of(NOON, 900.0, 8))
    assert len(set(prices[:4])) == 1
    assert len(prices) == 8


def test_the_storm_of_2021_is_in_the_prices() -> None:
    prices = prices_usd_per_mwh("LZ_NORTH", starts_of(datetime(2021, 2, 15, 6, tzinfo=UTC), 3600.0, 96))
    assert prices.max() > 8000.0


def test_a_span_without_prices_is_refused_by_its_hour() -> None:
    with pytest.raises(ConfigError, match=r"no hour 2023-01-01T.*; choose a span within"):
        prices_usd_per_mwh("LZ_WEST", starts_of(datetime(2022, 12, 31, 0, tzinfo=UTC), 3600.0, 72))


def test_the_day_on_which_clocks_change_has_a_price_for_every_hour() -> None:
    for day in (datetime(2022, 3, 13, tzinfo=UTC), datetime(2022, 11, 6, tzinfo=UTC)):
        assert np.all(np.isfinite(prices_usd_per_mwh("LZ_HOUSTON", starts_of(day, 900.0, 192))))


def test_carbon_repeats_by_whole_days() -> None:
    starts = starts_of(NOON, 900.0, 96 * 13)
    carbon = carbon_kg_per_mwh(starts, 900.0)
    assert carbon[: 96 * 2] == pytest.approx(carbon[96 * 11 :])
    assert 100.0 < carbon.mean() < 800.0


def test_demand_has_the_mean_asked_for_and_a_wave() -> None:
    written = DemandSettings(mean_tokens_per_s=1000.0, daily_frac=0.5, weekend_frac=0.0, noise_frac=0.0)
    demand = demand_tokens_per_s(written, starts_of(NOON, 900.0, 96), 900.0, np.random.default_rng(0))
    assert demand.mean() == pytest.approx(1000.0)
    assert demand.max() == pytest.approx(1500.0, rel=1e-3)
    assert demand.argmax() == 32  # 20:00 UTC, 8 hours after noon


def test_noise_has_its_deviation_and_never_makes_demand_negative() -> None:
    written = DemandSettings(mean_tokens_per_s=1000.0, daily_frac=0.0, weekend_frac=0.0, noise_frac=0.2)
    demand = demand_tokens_per_s(written, starts_of(NOON, 900.0, 20_000), 900.0, np.random.default_rng(0))
    assert demand.std() / demand.mean() == pytest.approx(0.2, rel=0.1)
    assert demand.min() >= 0.0


def test_no_demand_is_no_demand() -> None:
    nothing = DemandSettings(mean_tokens_per_s=0.0)
    assert not demand_tokens_per_s(nothing, starts_of(NOON, 900.0, 4), 900.0, np.random.default_rng(0)).any()


def test_photovoltaics_peak_at_solar_noon_and_rest_at_night() -> None:
    starts = starts_of(datetime(2022, 6, 21, tzinfo=UTC), 900.0, 96)
    power = pv_w(PvSettings(peak_kw=100, latitude_deg=31, longitude_deg=-98), starts, 900.0)
    # The sun stands highest where 15 degrees an hour and the equation of time (-1.8 min) say so: 18:34 UTC.
    assert starts[int(power.argmax())].hour == 18
    assert power.max() == pytest.approx(100e3 * np.cos(np.radians(31 - 23.44)), rel=1e-3)
    assert power[32:44].max() == 0.0
    winter = starts_of(datetime(2022, 12, 21, tzinfo=UTC), 900.0, 96)
    assert pv_w(PvSettings(peak_kw=100), winter, 900.0).sum() < 0.6 * power.sum()


def test_demand_of_a_file_is_replayed_and_scaled_to_the_mean_that_is_written(tmp_path: Path) -> None:
    file = tmp_path / "demand.csv"
    file.write_text("time,value\n2022-07-12T12:00:00Z,100\n2022-07-12T12:30:00Z,300\n", encoding="utf-8")
    own = SeriesSettings(path=str(file))
    starts, rng = starts_of(NOON, 900.0, 4), np.random.default_rng(0)
    as_it_is = demand_tokens_per_s(DemandSettings(series=own), starts, 900.0, rng)
    assert as_it_is.tolist() == [100.0, 100.0, 300.0, 300.0]
    scaled = demand_tokens_per_s(DemandSettings(series=own, mean_tokens_per_s=1000.0), starts, 900.0, rng)
    assert scaled.tolist() == [500.0, 500.0, 1500.0, 1500.0]
