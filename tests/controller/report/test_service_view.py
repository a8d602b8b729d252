import pytest

from controller.report.power_view import power_charts
from controller.report.service_view import MAX_CHARTED, service_charts, service_tables
from tests.controller.report.test_findings import found_in
from tests.fakes.played_event import LENGTH_S, START_S, ClassService, Player, event, played


def test_latency_stands_beside_what_is_promised(tmp_path):
    found = found_in(played(tmp_path))
    tables = {table.title: table for table in service_tables(found)}
    rows = {row[:3]: row[3:] for row in tables["Latency by class and what is promised"].rows}
    during = rows["during", "premium", "time to first token"]
    assert during[:-1] == pytest.approx((1200.0, 2000.0, 1000.0, 2250.0, 2925.0, 2985.0))
    assert during[-1] == "NOT KEPT"
    assert rows["after", "premium", "time to first token"][-1] == "kept"
    assert rows["during", "batch", "time to first token"] == (0.0, None, 60_000.0, None, None, None, None)
    assert ("during", "batch", 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0) in tables["Service by class"].rows


def test_charts_break_where_nothing_was_measured(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 200, event())
    player.served.is_whole = False
    player.served.take = lambda now_s: None
    player.play(START_S + 400, event())
    player.served.is_whole = True
    del player.served.take
    player.play(START_S + LENGTH_S + 200, event())
    player.close()
    first_token, between = service_charts(found_in(player.path))
    mean, p95, promised = first_token.series
    assert [series.name for series in first_token.series] == ["premium mean", "premium p95", "premium promised"]
    assert None in mean.y
    assert None in p95.y
    assert None not in promised.y
    assert between.title == "Time between tokens by class"
    assert first_token.bands[0][:2] == (0.0, LENGTH_S / 60)


def test_parts_of_an_event_are_named_as_in_the_charts_of_power(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 300.0, event())
    player.play(START_S + LENGTH_S, event(limit_w=3000.0))
    player.close()
    found = found_in(player.path)
    (power, *_), (first_token, _) = tuple(power_charts(found)), service_charts(found)
    assert [band[2] for band in first_token.bands] == ["evening, 14:13:20 to 14:18:20", "evening, 14:18:20 to 14:23:20"]
    assert first_token.bands == power.bands


def test_the_most_asked_classes_are_charted(tmp_path, monkeypatch):
    player = Player(tmp_path)
    one = player.served

    class Many:
        is_whole = True
        take = staticmethod(one.take)

        @property
        def totals(self):
            told = one.totals["premium"]
            return {f"class-{n}": told for n in range(10)} | {"batch": ClassService()}

    player.served = Many()
    player.play(START_S + 200, event())
    player.close()
    first_token, _ = service_charts(found_in(player.path))
    assert len({series.name.split()[0] for series in first_token.series}) == MAX_CHARTED
