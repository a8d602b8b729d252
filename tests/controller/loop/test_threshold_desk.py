import dataclasses
import json

import pytest

from controller.loop.status import Status
from controller.loop.threshold_desk import ThresholdDesk
from controller.model.call import Asked, CallState, Commitment
from controller.model.grid import Series
from controller.model.observation import Missing
from controller.model.programme import Programme
from controller.model.threshold import FeedSignal, Threshold
from controller.signals.calls import CallBook
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder, observation

HOUR_S = 3600.0
PRICE = FeedSignal.PRICE
SOURCE = "threshold:price_usd_per_mwh"


def programme(above=300.0, *, signal=PRICE, limit_w=9000.0, **terms):
    asked = Threshold(signal, above, above, Commitment(Asked.AT_MOST_W, limit_w))
    return Programme("spike", thresholds=(asked,), **({"hold_s": 300.0} | terms))


def hours(*values, from_s=NOW_S, unit="usd_per_mwh"):
    starts = tuple(from_s + n * HOUR_S for n in range(len(values)))
    return Series(starts, values, from_s + len(values) * HOUR_S, unit, "market", from_s)


class Bench:
    def __init__(self, terms=None, **options):
        terms = terms or programme()
        self.recorder = ListRecorder()
        programmes = {"operator": Programme("operator"), terms.name: terms}
        self.book = CallBook(self.recorder, programmes)
        self.desk = ThresholdDesk(self.book, programmes, **options)

    def look(self, price, now_s=NOW_S, carbon=None):
        nothing = Missing("feed", "not answered yet", now_s)
        seen = dataclasses.replace(
            observation(now_s), price_usd_per_mwh=price or nothing, carbon_kg_per_mwh=carbon or nothing
        )
        self.desk.take(Status(seen, None, (), 0.0))
        return [self.book.kept.get(*view.key).call for view in self.live(now_s)]

    def live(self, now_s):
        return [kept for kept in self.book.kept.all() if not kept.is_over(now_s)]

    def limits(self, now_s=NOW_S):
        return [(event.limit_w, event.start_s, event.end_s) for event in self.book.current(now_s)]


def test_a_peak_that_is_known_ahead_is_a_call_with_notice():
    bench = Bench()
    bench.look(hours(100, 400, 100))
    assert bench.limits() == [(9000.0, NOW_S + HOUR_S, NOW_S + 2 * HOUR_S)]
    (view,) = bench.book.calls(NOW_S)
    assert (view.call.source, view.call.programme, view.state) == (SOURCE, "spike", CallState.PENDING)
    assert view.call.received_s == NOW_S


def test_looks_without_news_change_and_record_nothing():
    bench = Bench()
    bench.look(hours(100, 400, 100))
    before = len(bench.recorder.kept)
    for second in range(1, 60):
        bench.look(hours(100, 400, 100), NOW_S + second)
    assert len(bench.recorder.kept) == before


def test_the_record_tells_what_the_feed_said():
    bench = Bench()
    bench.look(hours(100, 400, 100))
    raw = next(json.loads(payload["raw"]) for _, _, payload in bench.recorder.kept if payload.get("raw"))
    assert raw["above"] == 300.0
    assert raw["source"] == "market"
    assert raw["intervals"] == [[NOW_S + HOUR_S, 400]]


def test_a_revision_moves_the_call_and_a_lower_forecast_takes_it_back():
    bench = Bench()
    (first,) = bench.look(hours(100, 400, 100))
    (moved,) = bench.look(hours(100, 400, 400), NOW_S + 60)
    assert moved.call_id == first.call_id
    assert moved.end_s == NOW_S + 3 * HOUR_S + 300.0
    assert bench.look(hours(100, 100, 100), NOW_S + 120) == []
    assert bench.limits(NOW_S + 120) == []


def test_a_silent_feed_ends_nothing_and_in_time_the_default_holds():
    bench = Bench(programme(default_limit_w=12_000.0))
    bench.look(hours(400, 400, 100))
    assert len(bench.look(None, NOW_S + 30)) == 1
    two_hours = NOW_S + 2 * HOUR_S
    assert bench.limits(NOW_S + 60) == [(9000.0, NOW_S, two_hours)]
    bench.look(None, NOW_S + 400)
    held, default = bench.limits(NOW_S + 400)
    assert held == (9000.0, NOW_S, two_hours)
    assert default[:2] == (12_000.0, two_hours)
    bench.look(hours(100, from_s=two_hours), two_hours + 1)
    assert bench.limits(two_hours + 1) == []


def test_a_feed_of_single_intervals_makes_one_call_of_a_peak():
    bench = Bench()
    ids = set()
    for minute in range(60):
        now_s = NOW_S + 60.0 * minute
        told_s = NOW_S + 300.0 * (minute // 5)
        known = Series((told_s,), (400.0,), told_s + 300.0, "usd_per_mwh", "real time")
        ids |= {each.call_id for each in bench.look(known if minute % 5 < 4 else None, now_s)}
    assert len(ids) == 1
    fallen = Series((NOW_S + HOUR_S,), (100.0,), NOW_S + HOUR_S + 300.0, "usd_per_mwh", "real time")
    assert bench.look(fallen, NOW_S + HOUR_S) == []


def test_an_opt_out_outlasts_the_feeds_revisions():
    bench = Bench()
    (made,) = bench.look(hours(100, 400, 100))
    bench.book.opt_out(SOURCE, made.call_id, "a launch", NOW_S)
    bench.look(hours(100, 400, 400, 100), NOW_S + 60)
    assert bench.limits(NOW_S + 60) == []
    bench.look(hours(100, 100, 100), NOW_S + 120)
    (again,) = bench.look(hours(100, 400, 100), NOW_S + 180)
    assert again.call_id == made.call_id
    assert bench.limits(NOW_S + 180) == []


def test_a_part_outlasts_a_peak_that_is_taken_back_and_told_again():
    bench = Bench()
    (made,) = bench.look(hours(100, 400, 100))
    bench.book.follow_in_part(SOURCE, made.call_id, 11_000.0, "a launch", NOW_S)
    bench.look(hours(100, 100, 100), NOW_S + 60)
    assert bench.limits(NOW_S + 60) == []
    bench.look(hours(100, 400, 100), NOW_S + 120)
    assert bench.limits(NOW_S + 120) == [(11_000.0, NOW_S + HOUR_S, NOW_S + 2 * HOUR_S)]
    bench.book.opt_in(SOURCE, made.call_id, NOW_S + 130)
    bench.look(hours(100, 400, 400, 100), NOW_S + 180)
    assert bench.limits(NOW_S + 180) == [(9000.0, NOW_S + HOUR_S, NOW_S + 3 * HOUR_S)]


def test_a_low_price_leaves_the_calls_of_others_alone():
    bench = Bench()
    bench.book.submit(call("c", interval(0.0, HOUR_S, Asked.AT_MOST_W, 5000.0)), NOW_S)
    bench.look(hours(400, 100))
    assert min(bench.limits())[0] == 5000.0
    bench.look(hours(100, 100), NOW_S + 1)
    assert [limit_w for limit_w, _, _ in bench.limits(NOW_S + 1)] == [5000.0]


def test_price_and_carbon_are_told_apart():
    both = Programme("spike", thresholds=(programme().thresholds[0], programme(signal=FeedSignal.CARBON).thresholds[0]))
    bench = Bench(both)
    bench.look(hours(400, 100), carbon=hours(100, 400, 100, unit="kg_per_mwh"))
    assert sorted(kept.call.source for kept in bench.live(NOW_S)) == ["threshold:carbon_kg_per_mwh", SOURCE]
    bench.look(hours(100, 100), NOW_S + 1, hours(100, 400, 100, unit="kg_per_mwh"))
    assert [kept.call.source for kept in bench.live(NOW_S + 1)] == ["threshold:carbon_kg_per_mwh"]


def test_two_thresholds_of_one_signal_ask_for_more_in_turn():
    steps = tuple(
        Threshold(PRICE, above, above, Commitment(Asked.AT_MOST_W, limit_w))
        for above, limit_w in ((300.0, 9000.0), (500.0, 6000.0))
    )
    bench = Bench(Programme("spike", thresholds=steps))
    bench.look(hours(400, 600, 400, 100))
    assert bench.limits() == [
        (9000.0, NOW_S, NOW_S + 3 * HOUR_S),
        (6000.0, NOW_S + HOUR_S, NOW_S + 2 * HOUR_S),
    ]


def test_what_an_earlier_configuration_asked_for_is_taken_back_even_without_a_feed():
    bench = Bench()
    bench.look(hours(400, 400, 100))
    programmes = {"spike": programme(above=350.0)}
    bench.desk = ThresholdDesk(bench.book, programmes)
    assert bench.look(None, NOW_S + 1) == []


def test_a_threshold_that_asks_for_something_else_now_changes_its_call():
    bench = Bench()
    (made,) = bench.look(hours(400, 100))
    bench.desk = ThresholdDesk(bench.book, {"spike": programme(limit_w=7000.0)})
    (changed,) = bench.look(hours(400, 100), NOW_S + 1)
    assert changed.call_id == made.call_id
    assert [limit_w for limit_w, _, _ in bench.limits(NOW_S + 1)] == [7000.0]


def test_one_that_does_not_lead_leaves_everything_as_it_is():
    bench = Bench(may_act=lambda: False)
    assert bench.look(hours(400, 100)) == []
    assert bench.book.sources(NOW_S) == ()


@pytest.mark.parametrize("terms", [programme(limit_w=9000.0, most_w=5000.0), programme(changes_per_min=1)])
def test_what_is_refused_is_told_and_not_asked_for_at_every_look(terms, caplog):
    bench = Bench(terms)
    for second in range(30):
        bench.look(hours(400, 100, 400, 100), NOW_S + second)
    told = [record for record in caplog.records if record.message == "a threshold is not followed"]
    assert 0 < len(told) <= 2
    assert 0 < sum(bench.book.refused.values()) <= 2


def test_what_cannot_be_recorded_is_asked_for_again(caplog):
    bench = Bench()
    bench.recorder.is_failing = True
    assert bench.look(hours(400, 100)) == []
    assert "the disk is full" in caplog.records[-1].reason
    bench.recorder.is_failing = False
    assert len(bench.look(hours(400, 100), NOW_S + 61)) == 1
    bench.recorder.is_failing = True
    assert len(bench.look(hours(100, 100), NOW_S + 62)) == 1
    bench.recorder.is_failing = False
    assert bench.look(hours(100, 100), NOW_S + 123) == []
