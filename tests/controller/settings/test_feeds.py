from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.controller_files import MINIMAL, refusal


@pytest.mark.parametrize(
    ("columns", "says"),
    [("{a: 300, b: 300}", "are not different times ahead"), ("{a: -300}", "greater than 0"), ("{a: .nan}", "a")],
)
def test_forecast_columns_need_their_own_times_ahead(tmp_path: Path, columns: str, says: str) -> None:
    feed = (
        "{kind: csv, path: a, time_column: b, value_column: c, data_start: 2022-07-13T18:00:00Z, forecast_columns: %s}"
    )
    message = refusal(tmp_path, MINIMAL + f"signals: {{carbon_kg_per_mwh: {feed % columns}}}\n")
    assert says in message
    assert "forecast_columns" in message
