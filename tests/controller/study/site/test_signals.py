from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.errors import ConfigError
from controller.study.site.signals import grid_signals
from tests.fakes.site_cases import site_settings


def own(folder: Path, *rows: str) -> dict[str, Any]:
    file = folder / "grid.csv"
    file.write_text("\n".join(("time,usd,kg", *rows)), encoding="utf-8")
    return {
        "price": {"series": {"path": str(file), "column": "usd"}},
        "carbon": {"series": {"path": str(file), "column": "kg"}},
    }


def test_a_price_that_stands_still_reaches_beyond_the_run_as_far_as_a_plan_looks() -> None:
    settings = site_settings(price={"flat_usd_per_mwh": -3.0}, hours=1)
    price = grid_signals(settings).price_usd_per_mwh
    assert set(price.values) == {-3.0}
    assert price.end_s >= settings.start.timestamp() + 3600.0 + settings.plan.steps * settings.plan.step_s


def test_a_series_of_its_own_is_told_at_its_times_and_its_last_value_beyond_the_run(tmp_path: Path) -> None:
    rows = ("2022-07-12T12:00:00Z,-20,100", "2022-07-12T12:30:00Z,80,500", "2022-07-12T13:00:00Z,0,0")
    settings = site_settings(hours=1, start="2022-07-12T12:00:00Z", **own(tmp_path, *rows))
    signals = grid_signals(settings)
    price, carbon = signals.price_usd_per_mwh, signals.carbon_kg_per_mwh
    assert price.values[:12] == (-20.0,) * 6 + (80.0,) * 6
    assert set(price.values[12:]) == {80.0}
    assert (carbon.values[0], carbon.values[-1]) == (100.0, 500.0)
    assert price.source.endswith("grid.csv")


def test_a_series_that_ends_within_the_run_is_refused(tmp_path: Path) -> None:
    rows = ("2022-07-12T12:00:00Z,1,1", "2022-07-12T12:10:00Z,1,1")
    with pytest.raises(ConfigError, match=r"grid\.csv: reaches from .* give a longer series or a shorter span"):
        grid_signals(site_settings(hours=1, start="2022-07-12T12:00:00Z", **own(tmp_path, *rows)))
