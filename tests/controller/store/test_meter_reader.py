import pytest

from controller.errors import StoreError
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.store.meter_file import MeterWriter, Retention, Taken, write_imported
from controller.store.meter_reader import MAX_MEANS, read_means
from tests.fakes.metered import T0


def fill(db, *spans, quality=Quality.DIRECT):
    """(from, until, W), a look a second; between the spans nothing was found."""
    writer = MeterWriter(db, Retention())
    for from_s, until_s, power_w in spans:
        looks = [Taken(T0 + t, power_w, quality) for t in range(from_s, until_s)]
        writer.write([*looks, Taken(T0 + until_s, None, quality)])


def test_minutes_and_seconds_tell_the_same(db):
    fill(db, (0, 300, 100.0), (420, 900, 400.0))
    by_minutes = read_means(db, T0, T0 + 900, 300.0)
    assert [(m.mean_w, m.covered_frac) for m in by_minutes] == [(100.0, 1.0), (400.0, 0.6), (400.0, 1.0)]
    halves = read_means(db, T0 + 30, T0 + 930, 300.0)
    assert halves[0] == Mean(T0 + 30, T0 + 330, 100.0, Quality.DIRECT, pytest.approx(0.9))
    assert sum(m.mean_w * m.covered_frac for m in halves) * 300 == pytest.approx(270 * 100 + 480 * 400)


def test_every_second_can_be_read(db):
    fill(db, (0, 3, 100.0))
    assert [m.mean_w for m in read_means(db, T0 - 1, T0 + 5, 1.0)] == [None, 100.0, 100.0, 100.0, None, None]


def test_what_was_not_measured_is_told_as_such(db):
    assert read_means(db, T0, T0 + 120, 60.0) == (
        Mean(T0, T0 + 60, None, None, 0.0),
        Mean(T0 + 60, T0 + 120, None, None, 0.0),
    )


def test_the_least_trusted_reading_gives_the_quality(db):
    fill(db, (0, 30, 1.0))
    fill(db, (31, 60, 1.0), quality=Quality.EMULATED)
    assert [m.quality for m in read_means(db, T0, T0 + 60, 60.0)] == [Quality.EMULATED]
    assert read_means(db, T0, T0 + 10, 10.0)[0].quality is Quality.DIRECT


def test_the_last_step_may_be_shorter(db):
    fill(db, (0, 400, 100.0))
    means = read_means(db, T0, T0 + 400, 300.0)
    assert [(m.start_s - T0, m.end_s - T0, m.covered_frac) for m in means] == [(0, 300, 1.0), (300, 400, 1.0)]
    assert [m.end_s - T0 for m in read_means(db, T0, T0 + 420, 300.0)] == [300, 420]


def test_where_seconds_are_not_kept_minutes_serve(db):
    write_imported(db, [(T0, T0 + 60, 100.0), (T0 + 60, T0 + 120, 300.0)], Quality.DIRECT, replaces=False)
    (mean,) = read_means(db, T0 + 30, T0 + 90, 60.0)
    assert mean == Mean(T0 + 30, T0 + 90, 200.0, Quality.DIRECT, 1.0)


def test_imported_minutes_fill_a_gap_between_seconds(db):
    fill(db, (0, 60, 100.0), (180, 240, 100.0))
    write_imported(db, [(T0 + 60, T0 + 180, 700.0)], Quality.ESTIMATED, replaces=False)
    got = read_means(db, T0 + 10, T0 + 230, 55.0)
    assert [m.covered_frac for m in got] == pytest.approx([1.0] * 4, abs=0.02)
    assert sum(m.mean_w * m.length_s for m in got) == pytest.approx(50 * 100 + 120 * 700 + 50 * 100, rel=0.01)


def test_a_minute_that_was_counted_twice_counts_once(db):
    db.execute("INSERT INTO minutes VALUES (?, 12000.0, 80.0, 0, 0)", (int(T0 // 60),))
    (mean,) = read_means(db, T0, T0 + 120, 120.0)
    assert (mean.mean_w, mean.covered_frac) == (150.0, 0.5)


@pytest.mark.parametrize("asked", [(5.0, 5.0, 1.0), (0.0, 1.0, 0.0), (float("nan"), 1.0, 1.0), (9.0, 1.0, 1.0)])
def test_a_question_that_is_none_is_refused(db, asked):
    with pytest.raises(StoreError, match="there are none"):
        read_means(db, *asked)


def test_an_answer_is_bounded(db):
    with pytest.raises(StoreError, match="ask for less"):
        read_means(db, 0.0, MAX_MEANS + 1.0, 1.0)
