import contextlib

import pytest
from prometheus_client import CollectorRegistry

from controller.clock import VirtualClock
from controller.errors import StoreError
from controller.loop.meter_desk import DAY_KIND, DAY_S, MARK_S, RECORD_KIND, SETTLED_S, MeterDesk, MeterDeskParts
from controller.model.grid import FOREVER_S, GridEvent
from controller.model.observation import Missing, Quality
from controller.model.programme import BaselineMethod, BaselineRule, Programme
from controller.store.baselines import MeterBaselines
from controller.store.meter import MeterStore
from controller.store.readings import check_readings
from controller.store.readings import told as readings_told
from tests.fakes.controller_parts import observation, reading
from tests.fakes.metered import T0

PROGRAMMES = {
    "operator": Programme("operator"),
    "ten": Programme("ten", baseline=BaselineRule(BaselineMethod.TEN_OF_TEN)),
}


class Book:
    def __init__(self):
        self.records = []

    def record(self, kind, time_s, payload):
        self.records.append((kind, time_s, payload))


class Bench:
    """A desk that is shown one look after the other."""

    def __init__(self, folder, told_until_s=None):
        self.clock, self.book, self.registry = VirtualClock(T0), Book(), CollectorRegistry()
        self.store = MeterStore(folder / "m.sqlite")
        self.baselines = MeterBaselines(self.store)
        parts = MeterDeskParts(self.store, self.baselines, PROGRAMMES, self.book, told_until_s)
        self.desk = MeterDesk(parts, self.registry)

    def look(self, power_w=1000.0, *events, step_s=1.0):
        power = Missing("meter", "none", T0) if power_w is None else reading(power_w, self.clock.wall_s())
        self.desk.take(observation(self.clock.wall_s(), site_power=power, events=events))
        self.wait()
        self.clock.advance(step_s)

    def wait(self):
        if self.desk._job is not None:
            self.desk._job.result(10.0)

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"wattroute_controller_{name}", labels)

    def close(self):
        self.desk.close()
        self.store.close()


@pytest.fixture
def bench(tmp_path):
    with contextlib.closing(Bench(tmp_path)) as opened:
        yield opened


def test_every_look_is_kept_with_its_quality_and_gaps_as_gaps(bench):
    bench.look(1000.0)
    bench.look(None)
    bench.look(3000.0)
    bench.look(3000.0)
    assert bench.store.flush()
    means = bench.store.means(T0, T0 + 3, 1.0)
    assert [(mean.mean_w, mean.quality) for mean in means] == [
        (1000.0, Quality.DIRECT),
        (None, None),
        (3000.0, Quality.DIRECT),
    ]
    assert bench.metric("meter_looks_total", quality="direct") == 3
    assert bench.metric("meter_gaps_total") == 1


def test_the_baseline_is_frozen_as_the_event_begins_and_told_to_the_ledger(bench):
    event = GridEvent("a", 500.0, T0 + 3600.0, T0 + 7200.0, T0)
    for _ in range(3600):
        bench.look(1000.0, event)
    assert bench.book.records == []
    bench.look(5000.0, event)
    bench.look(400.0, event)
    frozen = bench.baselines.frozen("operator a")
    assert frozen.mean_w == pytest.approx(1000.0)
    ((kind, time_s, payload),) = bench.book.records
    assert (kind, time_s) == (RECORD_KIND, T0 + 3600.0)
    assert payload["baseline_w"] == pytest.approx(1000.0)
    assert payload["method"] == "hour_before"


def test_a_baseline_by_another_rule_is_counted_and_told(bench):
    bench.look(1000.0)
    bench.look(1000.0, GridEvent("a", 500.0, T0, T0 + 600.0, T0, programme="ten"), step_s=0.0)
    ((_, _, payload),) = bench.book.records
    assert payload["asked"] == "10_of_10"
    assert "like days" in payload["reason"]
    assert bench.metric("baseline_steps_down_total", programme="ten") == 1


def test_the_intervals_of_a_call_have_one_baseline_from_its_start(bench):
    parts = [GridEvent(f"a#{n}", 500.0, T0 + 60.0 * n + 10, T0 + 60.0 * n + 70, T0) for n in range(3)]
    for second in range(100):
        bench.look(1000.0, *(part for part in parts if part.end_s > T0 + second))
    assert len(bench.book.records) == 1
    intervals = bench.baselines.frozen("operator a").intervals
    assert (intervals[0].start_s, intervals[-1].end_s) == (T0 + 10, T0 + 190)


def test_the_time_in_force_is_marked_so_that_the_day_is_no_like_day(bench):
    event = GridEvent("a", 500.0, T0 + 2.0, T0 + 100.0, T0)
    for second in range(120):
        bench.look(1000.0, *((event,) if second < 100 else ()))
    assert bench.store.event_spans() == ((T0 + 2.0, T0 + 100.0),)


def test_an_event_of_a_name_that_was_used_before_leaves_the_days_of_both_marked(bench):
    bench.look(1000.0, GridEvent("spring", 500.0, T0, T0 + 60.0, T0), step_s=DAY_S)
    bench.look(1000.0, GridEvent("spring", 500.0, T0 + DAY_S, T0 + DAY_S + 60.0, T0 + DAY_S))
    assert bench.store.event_spans() == ((T0, T0 + 60.0), (T0 + DAY_S, T0 + DAY_S + 60.0))


def test_an_event_that_is_broken_off_is_marked_until_then(bench):
    event = GridEvent("a", 500.0, T0, T0 + 36_000.0, T0)
    for second in range(100):
        bench.look(1000.0, *((event,) if second < 90 else ()))
    ((_, end_s),) = bench.store.event_spans()
    assert T0 + 90 <= end_s <= T0 + 60 + MARK_S


def test_a_standing_limit_makes_no_days_of_events(bench):
    bench.look(1000.0, GridEvent("a", 500.0, T0 - 10.0, FOREVER_S, T0))
    assert bench.store.event_spans() == ()
    assert bench.book.records == []


def test_a_store_that_does_not_write_is_told_to_the_loop(bench):
    bench.store._writing.execute("PRAGMA query_only = 1")
    bench.look()
    bench.store.flush()
    with pytest.raises(StoreError, match="not written"):
        bench.look()
    bench.store._writing.execute("PRAGMA query_only = 0")


def test_what_could_not_be_written_in_time_is_counted(bench):
    bench.store.dropped = 3
    bench.look()
    bench.store.dropped = 5
    bench.look()
    assert bench.metric("meter_looks_lost_total") == 5


def test_digests_of_each_day_are_told_once_it_is_over_and_of_what_a_baseline_was_made_of(bench):
    for _ in range(10):
        bench.look(1000.0, step_s=60.0)
    assert not [kind for kind, *_ in bench.book.records if kind == DAY_KIND]
    begun = bench.clock.wall_s()
    bench.look(1000.0, GridEvent("a", 500.0, begun, begun + 600.0, begun, programme="operator", source="x"))
    (frozen,) = [payload for kind, _, payload in bench.book.records if kind == RECORD_KIND]
    (before,) = frozen["readings"]
    assert before["until_s"] <= begun - 60.0
    assert any(before["hours"])
    bench.clock.advance(DAY_S + SETTLED_S)
    bench.look(step_s=60.0)
    bench.look()
    (told,) = [payload for kind, _, payload in bench.book.records if kind == DAY_KIND]
    assert told["until_s"] - told["from_s"] == DAY_S
    assert told["from_s"] <= begun < told["until_s"]
    assert check_readings(bench.store.path, [readings_told(1, told), readings_told(2, before)], 430.0).hours == 2


def test_days_that_a_former_process_has_told_are_not_told_again(tmp_path):
    midnight_s = T0 // DAY_S * DAY_S
    bench = Bench(tmp_path, told_until_s=midnight_s)
    bench.look()
    bench.close()
    assert bench.book.records == []
