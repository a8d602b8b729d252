from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.study.fleet.signals import starts_of
from controller.study.series import SeriesSettings, means

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


def series(folder: Path, *rows: str, head: str = "time,value") -> SeriesSettings:
    file = folder / "own.csv"
    file.write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
    return SeriesSettings(path=str(file))


def of(written: SeriesSettings, steps: int = 4, step_s: float = 900.0, least: float = 0.0) -> list[float]:
    return means(written, starts_of(NOON, step_s, steps), step_s, least=least).tolist()


def test_a_value_holds_until_the_next_and_the_last_as_long_as_the_one_before(tmp_path: Path) -> None:
    half_hours = series(tmp_path, "2026-03-29T12:00:00Z,10", "2026-03-29T12:30:00Z,30")
    assert of(half_hours) == pytest.approx([10.0, 10.0, 30.0, 30.0])


def test_a_longer_step_has_the_mean_over_its_time(tmp_path: Path) -> None:
    uneven = series(
        tmp_path,
        "2026-03-29T11:00:00Z,99",
        "2026-03-29T12:00:00Z,0",
        "2026-03-29T12:45:00Z,40",
        "2026-03-29T13:30:00Z,0",
    )
    assert of(uneven, steps=1, step_s=3600.0) == pytest.approx([10.0])


def test_times_of_any_zone_are_moments_also_where_clocks_are_moved(tmp_path: Path) -> None:
    """Berlin's clock goes from 02:00+01:00 to 03:00+02:00: two hours of the clock, one of time."""
    spring = series(
        tmp_path, "2026-03-29T01:00:00+01:00,1", "2026-03-29T03:00:00+02:00,2", "2026-03-29T04:00:00+02:00,3"
    )
    start = datetime(2026, 3, 29, 0, tzinfo=UTC)
    assert means(spring, starts_of(start, 3600.0, 3), 3600.0, least=0.0).tolist() == [1.0, 2.0, 3.0]


def test_another_column_may_hold_the_values(tmp_path: Path) -> None:
    two = series(tmp_path, "2026-03-29T12:00:00Z,1,-5", "2026-03-29T13:00:00Z,2,-6", head="time,chat,price")
    prices = two.model_copy(update={"column": "price"})
    assert np.all(np.array(of(prices, least=-100.0)) == -5.0)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (("2026-03-29T12:00:00,1", "2026-03-29T13:00:00Z,1"), r"own\.csv:2: '2026-03-29T12:00:00' has no zone"),
        (("2026-03-29T12:00:00Z,1", "noon,1"), r"own\.csv:3: 'noon' is no time; write it as"),
        (("2026-03-29T12:00:00Z,1", "2026-03-29T13:00:00Z,nan"), r"own\.csv:3: nan is not a number from 0"),
        (("2026-03-29T12:00:00Z,1", "2026-03-29T13:00:00Z,-1"), r"own\.csv:3: -1 is not a number from 0"),
        (("2026-03-29T12:00:00Z,", "2026-03-29T13:00:00Z,1"), r"own\.csv:2: '' is no number"),
        (("2026-03-29T12:00:00Z", "2026-03-29T13:00:00Z,1"), r"own\.csv:2: None is no number"),
        (("2026-03-29T13:00:00Z,1", "2026-03-29T12:00:00Z,1"), "12:00:00Z comes after 2026-03-29T13:00:00Z; sort"),
        (("2026-03-29T12:00:00Z,1", "2026-03-29T12:00:00Z,1"), "12:00:00Z comes after 2026-03-29T12:00:00Z"),
        (("2026-03-29T12:00:00Z,1",), "has 1 rows; give two or more"),
        (
            ("2026-03-29T12:15:00Z,1", "2026-03-29T13:15:00Z,1"),
            r"reaches from .*12:15:00Z .* the scenario from .*12:00",
        ),
        (
            ("2026-03-29T12:00:00Z,1", "2026-03-29T12:20:00Z,1"),
            r"to 2026-03-29T12:40:00Z, the scenario .*13:00:00Z; give",
        ),
    ],
)
def test_a_wrong_file_is_told_by_place_and_value(tmp_path: Path, rows: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        of(series(tmp_path, *rows))


def test_a_file_that_is_absent_or_has_no_such_column_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.csv: cannot be read"):
        of(SeriesSettings(path=str(tmp_path / "gone.csv")))
    with pytest.raises(ConfigError, match="no column is called 'time'; there are when, value"):
        of(series(tmp_path, "2026-03-29T12:00:00Z,1", head="when,value"))
