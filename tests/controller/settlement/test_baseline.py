import dataclasses

import pytest

from controller.model.grid import GridEvent
from controller.settlement.baseline import MAX_SAMPLES, PowerHistory, baseline_w, mean_before_w, preparation_s

SAMPLES = [(float(t), 1000.0 + t) for t in range(0, 100, 10)]


def event(start_s, notice_s):
    return GridEvent("e", 500.0, start_s, start_s + 100.0, notice_s)


def test_the_mean_takes_the_window_before_and_nothing_after():
    assert mean_before_w(SAMPLES, 50.0, 30.0) == pytest.approx(1030.0)


def test_too_few_samples_are_no_baseline():
    assert mean_before_w(SAMPLES, 20.0, 1000.0) is None
    assert baseline_w([], event(50.0, 0.0), 30.0, 0.0) is None


def test_what_is_done_between_notice_and_start_does_not_count():
    raised = [*SAMPLES[:6], *((t, 9000.0) for t, _ in SAMPLES[6:])]
    assert baseline_w(raised, event(100.0, 60.0), 60.0, prepare_s=90.0) == pytest.approx(1025.0)


def test_what_is_done_to_prepare_does_not_count_however_early_the_notice():
    raised = [*SAMPLES[:6], *((t, 9000.0) for t, _ in SAMPLES[6:])]
    assert baseline_w(raised, event(100.0, -5000.0), 60.0, prepare_s=40.0) == pytest.approx(1025.0)


@pytest.mark.parametrize("notice_s", [-5000.0, 100.0])
def test_without_preparation_the_window_ends_at_the_start(notice_s):
    assert baseline_w(SAMPLES, event(100.0, notice_s), 30.0, prepare_s=0.0) == pytest.approx(1080.0)


def test_without_samples_before_the_notice_those_before_the_start_serve():
    assert baseline_w(SAMPLES, event(100.0, 10.0), 95.0, prepare_s=90.0) == pytest.approx(1050.0)


def test_the_history_is_bounded_and_thinned():
    history = PowerHistory()
    for tick in range(5000):
        history = history.with_sample(tick * 2.0, 100.0, 3600.0)
    assert len(history.samples) <= MAX_SAMPLES
    gaps = [b[0] - a[0] for a, b in zip(history.samples, history.samples[1:], strict=False)]
    assert min(gaps) >= 3600.0 / MAX_SAMPLES
    assert history.samples[-1][0] - history.samples[0][0] >= 3590.0


def test_an_event_may_say_itself_how_long_before_it_is_prepared_for():
    raised = [*SAMPLES[:6], *((t, 9000.0) for t, _ in SAMPLES[6:])]
    own = dataclasses.replace(event(100.0, -5000.0), prepare_s=40.0)
    assert baseline_w(raised, own, 60.0, prepare_s=0.0) == pytest.approx(1025.0)


def test_preparation_begins_when_due_or_at_the_notice_but_not_after_the_start():
    assert preparation_s(event(100.0, -5000.0), 40.0) == 60.0
    assert preparation_s(event(100.0, 80.0), 40.0) == 80.0
    assert preparation_s(event(100.0, 130.0), 40.0) == 100.0


def test_what_began_before_it_was_due_does_not_count_either():
    raised = [*SAMPLES[:4], *((t, 9000.0) for t, _ in SAMPLES[4:])]
    early = baseline_w(raised, event(100.0, 70.0), 40.0, prepare_s=50.0, prepared_from_s=40.0)
    assert early == pytest.approx(1015.0)
    assert preparation_s(event(100.0, 70.0), 50.0, prepared_from_s=90.0) == 70.0
