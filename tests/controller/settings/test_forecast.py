from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.controller_files import MINIMAL, refusal


@pytest.mark.parametrize(
    ("forecast", "says"),
    [
        ("{timezone: Mars/Olympus}", "tzdata"),
        ("{timezone: ../../etc/passwd}", "no time zone"),
        ("{demand_quantile: 1.0}", "forecast.demand_quantile"),
        ("{demand_quantile: .nan}", "forecast.demand_quantile"),
        ("{demand: mean}", "'best' or 'present'"),
        ("{switch_margin_frac: -0.1}", "forecast.switch_margin_frac"),
        ("{quantile: 0.9}", "forecast.quantile"),
    ],
)
def test_a_forecast_that_cannot_be_made_is_refused(tmp_path: Path, forecast: str, says: str) -> None:
    assert says in refusal(tmp_path, MINIMAL + f"forecast: {forecast}\n")
