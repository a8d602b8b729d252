from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.model.observation import Missing
from controller.signals.feeds import AbsentFeed, ConstantFeed, CsvColumns, Replay, ReplayFeed, read_csv
from tests.fakes.controller_parts import NOW_S

PRICE = CsvColumns("hour_start_utc", "LZ_NORTH", "usd_per_mwh")
CARBON = CsvColumns("time_utc", "moer_kg_per_kwh", "kg_per_mwh", scale=1000.0)


def utc_s(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def price_feed(start: str, speed: float = 1.0, lookahead_s: float = 7200.0) -> ReplayFeed:
    replay = Replay(NOW_S, utc_s(start), speed, lookahead_s)
    return ReplayFeed(Path("ercot_dam_lz_usd_per_mwh.csv"), PRICE, replay)


def test_the_bundled_price_of_an_hour_and_what_follows():
    series = price_feed("2021-02-01T06:30").read(NOW_S)
    assert series.at(NOW_S) == 20.83
    assert series.at(NOW_S + 1799) == 20.83
    assert series.at(NOW_S + 1800) == 19.64
    assert series.unit == "usd_per_mwh"


def test_speed_shortens_the_intervals():
    series = price_feed("2021-02-01T06:00", speed=60.0).read(NOW_S + 60)
    assert series.starts_s[0] == NOW_S + 60
    assert series.starts_s[1] - series.starts_s[0] == 60
    assert series.at(NOW_S + 60) == 19.64


def test_what_is_handed_out_is_bounded_by_the_lookahead():
    series = price_feed("2021-02-01T06:00", lookahead_s=3 * 3600.0).read(NOW_S)
    assert len(series.values) == 3
    assert series.end_s == NOW_S + 3 * 3600


def test_carbon_is_scaled_to_kg_per_mwh():
    feed = ReplayFeed(Path("caiso_moer_pge_2020-08.csv"), CARBON, Replay(NOW_S, utc_s("2020-08-10T00:00")))
    assert feed.read(NOW_S).at(NOW_S) == pytest.approx(383.179)
    assert feed.read(NOW_S).at(NOW_S + 300) == pytest.approx(286.516)


def moer_with_forecasts(*forecasts: tuple[str, float], lookahead_s: float = 7200.0) -> ReplayFeed:
    columns = CsvColumns("time_utc", "moer_kg_per_kwh", "kg_per_mwh", 1000.0, forecasts)
    replay = Replay(NOW_S, utc_s("2020-08-10T00:00"), lookahead_s=lookahead_s)
    return ReplayFeed(Path("caiso_moer_pge_2020-08.csv"), columns, replay)


def test_recorded_forecasts_are_handed_out_as_they_were_made():
    feed = moer_with_forecasts(("forecast_15min_kg_per_kwh", 900.0), ("forecast_5min_kg_per_kwh", 300.0))
    series = feed.read(NOW_S + 10)
    assert series.starts_s == tuple(NOW_S + 300 * n for n in range(4))
    assert series.values == pytest.approx((383.179, 305.070, (305.070 + 291.612) / 2, 291.612))
    assert series.end_s == NOW_S + 1200
    assert feed.read(NOW_S + 300).values[0] == pytest.approx(286.516)


def test_forecasts_end_with_the_lookahead():
    feed = moer_with_forecasts(("forecast_60min_kg_per_kwh", 3600.0), lookahead_s=600.0)
    assert feed.read(NOW_S).end_s == NOW_S + 600


def test_a_forecast_column_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="there is no column 'forecast_1min'"):
        moer_with_forecasts(("forecast_1min", 60.0))


def test_past_the_end_of_the_recording_is_missing_with_the_reason():
    feed = price_feed("2021-02-01T06:00", speed=3600.0 * 24)
    missing = feed.read(NOW_S + 10 * 365)
    assert isinstance(missing, Missing)
    assert "the recording has no value at" in missing.reason


def test_a_series_does_not_reach_over_a_gap(tmp_path):
    path = tmp_path / "gap.csv"
    path.write_text("t,v\n" + "".join(f"2022-01-01T{h:02}:00Z,{h}\n" for h in (0, 1, 2, 9, 10, 11)))
    columns = CsvColumns("t", "v", "x")
    replay = Replay(NOW_S, utc_s("2022-01-01T00:00"), lookahead_s=86_400)
    feed = ReplayFeed(path, columns, replay)
    assert feed.read(NOW_S).values == (0, 1, 2)
    assert feed.read(NOW_S).end_s == NOW_S + 3 * 3600
    assert isinstance(feed.read(NOW_S + 4 * 3600), Missing)
    assert feed.read(NOW_S + 9 * 3600).values == (9, 10, 11)
    with pytest.raises(ConfigError, match=r"holds nothing at data_start 2022-01-01T05:00Z.*2022-01-01T00:00Z"):
        ReplayFeed(path, columns, Replay(NOW_S, utc_s("2022-01-01T05:00")))


def test_a_missing_file_names_itself_and_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.csv: no such file; .*ercot_dam_lz_usd_per_mwh\.csv"):
        read_csv(tmp_path / "absent.csv", PRICE)
    assert ConfigError.exit_code == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column 't'"),
        ("t,w\n", "no column 'v'; the file has 't', 'w'"),
        ("t,v\n", "no rows"),
        ("t,v\nyesterday,1\n", ":2: 'yesterday' is not a time"),
        ("t,v\n2022-01-01T00:00Z,much\n", ":2: 'much' is not a finite number"),
        ("t,v\n2022-01-01T00:00Z,nan\n", ":2: 'nan' is not a finite number"),
        ("t,v\n2022-01-01T00:00Z\n", ":2: None is not a finite number"),
        ("t,v\n2022-01-01T01:00Z,1\n2022-01-01T00:00Z,1\n", ":3: .* is not later than the line before"),
    ],
)
def test_a_malformed_file_is_refused_with_line_and_value(tmp_path, text, problem):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_csv(path, CsvColumns("t", "v", "x"))


BERLIN_BACK = ("2022-10-30T01:00", "2022-10-30T02:00", "2022-10-30T02:00", "2022-10-30T03:00")
BERLIN_FORTH = ("2022-03-27T00:00", "2022-03-27T01:00", "2022-03-27T03:00", "2022-03-27T04:00")


def rows(tmp_path, times):
    path = tmp_path / "clock.csv"
    path.write_text("t,v\n" + "".join(f"{time},{n}\n" for n, time in enumerate(times)))
    return path


def test_the_doubled_hour_of_a_local_clock_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match=r":4: '2022-10-30T02:00' is not later .* in UTC or with their offset"):
        read_csv(rows(tmp_path, BERLIN_BACK), CsvColumns("t", "v", "x"))


def test_times_with_their_offset_pass_a_change_of_clocks_without_a_gap(tmp_path):
    offsets = ("+02:00", "+02:00", "+01:00", "+01:00")
    times = [time + offset for time, offset in zip(BERLIN_BACK, offsets, strict=True)]
    starts_s, values = read_csv(rows(tmp_path, times), CsvColumns("t", "v", "x"))
    assert [b - a for a, b in pairwise(starts_s)] == [3600.0] * 3
    assert values == [0, 1, 2, 3]


def test_the_missing_hour_of_a_local_clock_is_no_value_rather_than_a_wrong_one(tmp_path):
    replay = Replay(NOW_S, utc_s("2022-03-27T00:00"), lookahead_s=86_400)
    feed = ReplayFeed(rows(tmp_path, BERLIN_FORTH), CsvColumns("t", "v", "x"), replay)
    assert feed.read(NOW_S).values == (0, 1)
    assert isinstance(feed.read(NOW_S + 2.5 * 3600), Missing)
    assert feed.read(NOW_S + 3 * 3600).values == (2, 3)


def test_times_without_a_zone_are_utc(tmp_path):
    starts_s, _ = read_csv(rows(tmp_path, BERLIN_FORTH), CsvColumns("t", "v", "x"))
    assert starts_s[0] == utc_s("2022-03-27T00:00")


def test_a_negative_price_is_a_price(tmp_path):
    path = tmp_path / "negative.csv"
    path.write_text("t,v\n2022-01-01T00:00Z,-31.5\n")
    assert read_csv(path, CsvColumns("t", "v", "x"))[1] == [-31.5]


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(b"t,v\n\xff\xff,1\n")
    with pytest.raises(ConfigError, match="cannot be read as CSV"):
        read_csv(path, CsvColumns("t", "v", "x"))


def test_constant_and_absent():
    assert ConstantFeed(50.0, "usd_per_mwh").read(NOW_S).at(NOW_S + 3600) == 50.0
    assert "signals.carbon_kg_per_mwh" in AbsentFeed("carbon_kg_per_mwh").read(NOW_S).reason
