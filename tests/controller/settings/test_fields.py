from __future__ import annotations

from pathlib import Path

from tests.fakes.controller_files import MINIMAL, refusal


def test_times_without_a_zone_are_refused(tmp_path: Path) -> None:
    feed = "{kind: csv, path: a, time_column: b, value_column: c, data_start: 2022-07-13T18:00:00}"
    message = refusal(tmp_path, MINIMAL + f"signals: {{price_usd_per_mwh: {feed}}}\n")
    assert "no time zone" in message
