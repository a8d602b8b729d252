import asyncio
import logging
from random import Random

import pytest

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.model.grid import Series
from controller.model.observation import Missing
from controller.service.feed_setup import live_specs, open_feeds, still_feed
from controller.settings.signals import SignalSettings
from controller.signals.feeds.feed import AbsentFeed, ConstantFeed
from tests.fakes.http_stub import http_stub


def mapped(url: str, **more) -> dict:
    return {"kind": "mapped", "url": url, "format": "json", "time": "0", "value": "1", "times": "unix_s", **more}


async def test_live_and_still_feeds_stand_side_by_side(caplog, tmp_path):
    caplog.set_level(logging.INFO)
    clock = SystemClock()
    start_s = clock.wall_s() - 60
    async with http_stub() as stub:
        stub.set("/rates", [[start_s, 0.4]])
        signals = SignalSettings(
            price_usd_per_mwh={"kind": "constant", "value": 40.0},
            carbon_kg_per_mwh=mapped(f"{stub.url}/rates", unit="kg/kWh", basis="average"),
        )
        assert list(live_specs(signals)) == ["carbon_kg_per_mwh"]
        async with open_feeds(signals, clock, start_s, tmp_path, Works(Random(0))) as feeds:
            assert isinstance(feeds.price_usd_per_mwh, ConstantFeed)
            assert isinstance(feeds.carbon_kg_per_mwh.read(start_s + 60), Missing)
            while not isinstance(series := feeds.carbon_kg_per_mwh.read(start_s + 60), Series):
                await asyncio.sleep(0.01)
    assert series.values == pytest.approx((400.0,))
    assert "carbon is told as an average" in caplog.text


def test_what_is_not_configured_is_absent_and_a_bad_recording_is_told(tmp_path):
    assert isinstance(still_feed(SignalSettings(), "carbon_kg_per_mwh", 0.0), AbsentFeed)
    recording = {
        "kind": "csv",
        "path": "no.csv",
        "time_column": "t",
        "value_column": "v",
        "data_start": "2026-01-01T00:00Z",
    }
    with pytest.raises(ConfigError, match=r"no\.csv"):
        still_feed(SignalSettings(price_usd_per_mwh=recording), "price_usd_per_mwh", 0.0)


async def test_what_was_kept_is_taken_up_by_the_same_configuration_alone(tmp_path):
    clock = SystemClock()
    now_s = clock.wall_s()
    path = tmp_path / "prices.json"
    path.write_text(f"[[{now_s - 60}, 100]]")
    mapping = mapped("http://x", unit="EUR/MWh", usd_per_unit=1.0) | {"url": None, "path": str(path)}

    async def read(until: type, **change) -> Series | Missing:
        signals = SignalSettings(price_usd_per_mwh=mapping | change)
        async with open_feeds(signals, clock, now_s, tmp_path, Works(Random(0))) as feeds:
            while not isinstance(known := feeds.price_usd_per_mwh.read(now_s), until):
                await asyncio.sleep(0.01)
        return known

    await read(Series)
    path.unlink()
    assert (await read(Series)).values == (100.0,)
    assert isinstance(await read(Missing, usd_per_unit=2.0), Missing)
