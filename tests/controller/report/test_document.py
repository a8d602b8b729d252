import pytest

from controller.grid.easing import Easing
from controller.report.document import report_of
from controller.report.power_line import MAX_POINTS
from tests.controller.report.test_findings import found_in
from tests.fakes.played_event import BASELINE_W, LENGTH_S, LIMIT_W, START_S, Player, event, played


def test_it_says_what_counts_first_and_how_to_check_it(tmp_path):
    found = found_in(played(tmp_path))
    report = report_of(found)
    assert report.paragraphs[0].startswith("EMULATED")
    assert "final" in report.paragraphs[1]
    assert "delivered 110.0 % of what was committed over 10 settlement intervals" in report.paragraphs[2]
    assert "0 over the limit of 4.0 kW, 0 not measured, 0 short" in report.paragraphs[2]
    assert any("wattroute ledger verify --file evidence.sqlite --head 9:abab" in line for line in report.sources)
    assert any("wattroute 1.2.3" in line for line in report.sources)
    assert [chart.title for chart in report.charts] == [
        "Power at the meter (EMULATED)",
        "Delivered and committed (EMULATED)",
        "Time to first token by class",
        "Time between tokens by class",
    ]
    assert all(len(series.x) <= MAX_POINTS for chart in report.charts for series in chart.series)


def test_a_meter_of_flesh_is_not_called_emulated(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + LENGTH_S + 10, event(), quality="direct")
    player.close()
    report = report_of(found_in(player.path))
    assert "EMULATED" not in "".join((*report.paragraphs, *(chart.title for chart in report.charts)))


def test_one_that_was_never_measured_and_one_without_limits_are_reported_too(tmp_path):
    blind = Player(tmp_path / "a")
    blind.play(START_S + LENGTH_S + 10, event(), power=lambda now_s: None)
    blind.close()
    report = report_of(found_in(blind.path))
    assert "evening: not settled: nothing was measured." in report.paragraphs
    assert not any("kW" in chart.y_label for chart in report.charts)
    early = Player(tmp_path / "b", from_s=START_S - 300)
    early.call()
    early.play(START_S - 200, event())
    early.call("cancelled", cancelled_s=START_S - 200)
    early.play(START_S - 190)
    early.close()
    report = report_of(found_in(early.path))
    assert any("No limit was in force" in text for text in report.paragraphs)
    assert report.paragraphs[0].startswith("Status: cancelled")


def test_it_tells_site_terms_and_what_else_was_in_force(tmp_path):
    player = Player(tmp_path)
    later = event(event_id="later", source="operator", start_s=START_S + LENGTH_S, end_s=START_S + LENGTH_S + 60.0)
    never = event(event_id="never", source="operator", start_s=START_S + 400.0)
    player.play(START_S + 100.0, event(), later, never)
    player.play(START_S + 200.0, event(), event(event_id="other", source="operator", limit_w=3500.0), later)
    player.play(START_S + LENGTH_S + 10.0, event(), later)
    player.close()
    report = report_of(found_in(player.path))
    assert "Asked of test by openadr:vtn under the programme utility" in report.paragraphs[1]
    assert any(text.startswith("Other events were in force meanwhile: operator/other. ") for text in report.paragraphs)
    assert (
        "Terms: settlement intervals of 60 s from the end of the ramp, of which the mean counts; committed is what the "
        "limit is below the baseline; 500 USD/MWh delivered and 1150 USD/MWh missing."
    ) in report.assumptions
    [account] = [table for table in report.tables if table.title == "Account"]
    assert ("evening", "time allowed for the ramp, s", 30.0) in account.rows
    [intervals] = [table for table in report.tables if table.title == "Settlement intervals of 2026-09-21"]
    assert intervals.rows[0][:2] == ("14:13:50", "14:14:50")


def test_intervals_of_an_event_past_midnight_tell_their_dates(tmp_path):
    midnight_s = START_S // 86_400 * 86_400 + 86_400
    player = Player(tmp_path, from_s=midnight_s - 200.0)
    player.play(midnight_s + 300.0, event(start_s=midnight_s - 150.0, end_s=midnight_s + 120.0), power=lambda s: 3000.0)
    player.close()
    found = found_in(player.path, midnight_s + 7200.0)
    [intervals] = [each for each in report_of(found).tables if each.title == "Settlement intervals"]
    assert intervals.rows[0][:2] == ("2026-09-21T23:58:00Z", "2026-09-21T23:59:00Z")
    assert intervals.rows[2][:2] == ("2026-09-22T00:00:00Z", "2026-09-22T00:01:00Z")


def test_an_event_that_is_over_before_its_first_settlement_interval_has_nothing_to_settle(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 60.0, event(end_s=START_S + 20.0))
    player.close()
    told = "evening: nothing to settle: no settlement interval lies after the ramp of 30 s."
    assert told in report_of(found_in(player.path)).paragraphs


def test_a_limit_that_is_not_below_the_baseline_commits_to_nothing(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + LENGTH_S + 10, event(limit_w=BASELINE_W + 500.0))
    player.close()
    report = report_of(found_in(player.path))
    assert "evening: nothing was committed: the limit is not below the baseline; over" in report.paragraphs[2]
    [account] = [table for table in report.tables if table.title == "Account"]
    reached = [row for row in account.rows if str(row[1]).startswith("time to")]
    assert [value for *_, value in reached] == [None, None, None]


@pytest.mark.parametrize(("mode", "told"), [("act", 0), ("recommend", 1)])
def test_a_controller_that_changed_nothing_is_told(tmp_path, mode, told):
    player = Player(tmp_path, mode=mode)
    player.play(START_S + LENGTH_S + 10, event())
    player.close()
    lines = [
        text for text in report_of(found_in(player.path)).paragraphs if text.startswith("NOT ACTED ON: from 2026-")
    ]
    assert len(lines) == told
    assert all(f"the controller ran in mode {mode}" in line for line in lines)


def test_gaps_are_told(tmp_path):
    first = Player(tmp_path)
    first.play(START_S + 100, event())
    first.close()
    second = Player(tmp_path, from_s=START_S + 300)
    second.play(START_S + 400, event())
    second.close()
    assert any(text.startswith("GAP: everything from") for text in report_of(found_in(second.path)).paragraphs)


def test_it_says_how_far_the_operator_followed_it_and_settles_it_by_what_was_asked_for(tmp_path):
    player = Player(tmp_path)
    player.call()
    player.play(START_S + 300.0, event(), power=lambda now_s: 3990.0)
    player.call("opted_out_in_part", easings=(Easing(4500.0, "a launch", START_S + 300.0),))
    eased = event(limit_w=4500.0, asked_limit_w=LIMIT_W)
    player.play(START_S + LENGTH_S + 10.0, eased, power=lambda now_s: 4400.0)
    player.close()
    found = found_in(player.path)
    verdicts = {(row.limit_kw, row.committed_kw, row.verdict) for row in found.rows}
    assert verdicts == {(4.0, 1.0, "kept"), (4.5, 1.0, "short")}
    assert found.rows[-1].delivered_kw == pytest.approx(0.6)
    text = " ".join(report_of(found).paragraphs)
    assert "FOLLOWED IN PART by the operator's choice from 2026-09-21T14:18:20Z until its end: no lower than" in text
    assert "0 over the limit of 4.5 kW (asked for: 4.0 kW), 0 not measured, 5 short" in text
    penalty_usd = sum(part.account.performance.penalty_usd for part in found.parts)
    assert penalty_usd == pytest.approx(0.4e-3 * (300.0 / 3600.0) * 1150.0)
