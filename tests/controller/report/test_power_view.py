from controller.report.power_line import MAX_POINTS
from controller.report.power_view import power_charts
from tests.controller.report.test_findings import found_in
from tests.fakes.played_event import BASELINE_W, LENGTH_S, LIMIT_W, START_S, Player, event, played


def series_of(path, number):
    return {series.name: series for series in list(power_charts(found_in(path)))[number].series}


def test_power_is_shown_beside_limit_and_baseline_of_each_interval(tmp_path):
    path = played(tmp_path)
    shown = series_of(path, 0)
    assert set(shown) == {"measured", "limit", "baseline"}
    assert set(shown["limit"].y) == {LIMIT_W / 1e3}
    assert set(shown["baseline"].y) == {BASELINE_W / 1e3}
    assert (shown["limit"].x[0], shown["limit"].x[-1]) == (0.5, LENGTH_S / 60.0)
    assert len(shown["measured"].x) <= MAX_POINTS


def test_what_was_delivered_is_shown_to_the_end_of_its_last_interval(tmp_path):
    shown = series_of(played(tmp_path), 1)
    assert shown["delivered"].x[-1] == shown["committed"].x[-1] == LENGTH_S / 60.0
    assert set(shown["committed"].y) == {(BASELINE_W - LIMIT_W) / 1e3}


def test_no_line_leads_from_one_part_of_an_event_to_the_next(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 300.0, event())
    player.play(START_S + LENGTH_S, event(limit_w=3000.0))
    player.close()
    limit = series_of(player.path, 0)["limit"]
    between = limit.y.index(None)
    assert (limit.y[between - 1], limit.y[between + 1]) == (4.0, 3.0)
    assert (limit.x[between], limit.x[between + 1]) == (5.0, 5.5)


def test_without_a_measurement_there_is_no_chart(tmp_path):
    blind = Player(tmp_path)
    blind.play(START_S + 60.0, event(), power=lambda now_s: None)
    blind.close()
    assert list(power_charts(found_in(blind.path))) == []
