from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from controller.study.site.grid_settings import CarbonSettings, EventSettings, PriceSettings
from tests.fakes.site_cases import event


@pytest.mark.parametrize(
    ("model", "written", "told"),
    [
        (PriceSettings, {"zone": "LZ_WEST", "flat_usd_per_mwh": 3}, "write one of zone, series and flat_usd_per_mwh"),
        (PriceSettings, {"flat_usd_per_mwh": float("nan")}, "flat_usd_per_mwh"),
        (CarbonSettings, {}, "write one of recorded: true, series and flat_kg_per_mwh"),
        (CarbonSettings, {"recorded": True, "flat_kg_per_mwh": 3}, "write one of recorded: true, series and flat"),
        (EventSettings, event(limit_kw=None), "write either limit_kw or limit_frac"),
        (EventSettings, event(limit_frac=0.5), "write either limit_kw or limit_frac"),
        (EventSettings, event(ramp_s=600), "ramp_s 600 is as long as the event of 10 minutes; shorten it"),
        (EventSettings, event(start="2022-07-12T12:15:00"), "this time has no zone"),
    ],
)
def test_what_is_contradictory_is_refused(model: type, written: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        model.model_validate(written)


def test_a_price_below_zero_is_a_price() -> None:
    assert PriceSettings.model_validate({"flat_usd_per_mwh": -20}).flat_usd_per_mwh == -20.0


def test_an_event_over_the_night_of_a_change_of_clocks_is_as_long_as_it_says() -> None:
    # Clocks in Texas jump from 2 to 3 on 13 March 2022: one minute before and one after are two minutes apart.
    across = EventSettings.model_validate(event(start="2022-03-13T01:59:00-06:00", minutes=2, ramp_s=0))
    after = EventSettings.model_validate(event(start="2022-03-13T03:01:00-05:00", minutes=2, ramp_s=0))
    assert across.end == after.start
    assert across.end - across.start == timedelta(minutes=2)
