from dataclasses import replace

import pytest

from controller.forecast.demand import FLOOR_RPS, PATIENCE_S, DemandState, estimate, update
from controller.model.fleet import RequestClass
from controller.model.observation import ClassDemand, RouterObservation
from router.contract import ClassId

CLASS = RequestClass(ClassId("standard"), expected_input_tokens=1000.0, expected_output_tokens=200.0)


def report(time_s, requests, finished=None, *, tokens=(1000.0, 200.0), **more):
    finished = requests if finished is None else finished
    counters = ClassDemand(CLASS.class_id, requests, finished, finished * tokens[0], finished * tokens[1], **more)
    return RouterObservation(time_s, 1, (counters,))


def watched(reports):
    state = DemandState()
    for each in reports:
        state = update(state, each, 15.0, 90.0)
    return state


def demand(state):
    return estimate(state, CLASS, clear_queue_s=60.0)


def test_before_any_report_a_class_has_its_configured_lengths_and_the_floor():
    nothing = demand(DemandState())
    assert nothing.output_tokens_per_s == pytest.approx(FLOOR_RPS * 200.0)
    assert nothing.input_per_output == pytest.approx(5.0)


def test_one_report_alone_says_nothing_about_a_rate():
    state = watched([report(0.0, 5000)])
    assert state.observed_s == 0.0
    assert demand(state).output_tokens_per_s == pytest.approx(FLOOR_RPS * 200.0)


def test_a_steady_rate_is_known_from_the_second_report_on():
    state = watched([report(0.0, 5000), report(2.0, 5020)])
    assert demand(state).output_tokens_per_s == pytest.approx(10.0 * 200.0)
    assert state.observed_s == 2.0


def test_arrivals_count_before_their_answers_end():
    state = watched([report(0.0, 0, 0), report(2.0, 20, 0)])
    assert demand(state).output_tokens_per_s == pytest.approx(10.0 * 200.0)


def test_requests_that_engines_find_fault_with_ask_for_no_tokens():
    """A client that asks for a model nobody serves is answered 404 thousands of times a second."""
    state = watched([report(2.0 * n, 2020.0 * n, 20.0 * n, rejected=2000.0 * n) for n in range(3)])
    assert demand(state).output_tokens_per_s == pytest.approx(10.0 * 200.0)


def test_faults_told_after_the_requests_they_are_of_leave_a_demand_of_none():
    state = watched([report(0.0, 100, 0), report(2.0, 110, 0, rejected=60.0), report(4.0, 130, 20, rejected=60.0)])
    assert 0.0 < demand(state).output_tokens_per_s < 10.0 * 200.0


def test_a_rise_is_followed_at_once_and_a_fall_is_believed_late():
    quiet = [report(2.0 * i, 20.0 * i) for i in range(60)]
    base = quiet[-1].demand[0].requests
    risen = watched([*quiet, *(report(118.0 + 2 * i, base + 80.0 * i) for i in range(1, 9))])
    fallen = watched([*quiet, *(report(118.0 + 2 * i, base + 2.0 * i) for i in range(1, 9))])
    assert demand(risen).output_tokens_per_s > 25.0 * 200.0
    assert demand(fallen).output_tokens_per_s > 8.0 * 200.0


def test_a_restarted_router_gives_no_negative_demand():
    state = watched([report(0.0, 1000), report(2.0, 1020), report(4.0, 3)])
    assert demand(state).output_tokens_per_s == pytest.approx(10.0 * 200.0)
    assert demand(update(state, report(6.0, 23), 15.0, 90.0)).output_tokens_per_s == pytest.approx(10.0 * 200.0)


def test_a_report_that_is_not_newer_is_ignored():
    state = watched([report(0.0, 0), report(2.0, 20)])
    assert update(state, report(2.0, 400), 15.0, 90.0) == state


def test_lengths_are_learnt_from_finished_requests():
    long = watched([report(2.0 * i, 20.0 * i, tokens=(3000.0, 600.0)) for i in range(200)])
    assert demand(long).output_tokens == pytest.approx(600.0, rel=0.05)
    assert demand(long).input_tokens == pytest.approx(3000.0, rel=0.05)


def test_requests_that_wait_are_to_be_served_too():
    state = watched([report(0.0, 0), report(2.0, 20, queued=120)])
    assert demand(state).output_tokens_per_s == pytest.approx((10.0 + 120 / 60.0) * 200.0)


@pytest.mark.parametrize(
    ("of_class", "clear_queue_s", "within_s"),
    [
        (CLASS, 300.0, PATIENCE_S),
        (replace(CLASS, ttft_slo_s=120.0), 300.0, 120.0),
        (replace(CLASS, ttft_slo_s=600.0), 300.0, 300.0),
        (replace(CLASS, priority=-1), 300.0, 300.0),
        (CLASS, 10.0, 10.0),
    ],
    ids=["before it is refused", "by its own promise", "promised later", "may wait", "cleared before"],
)
def test_requests_that_wait_are_to_be_served_now_before_they_are_refused(of_class, clear_queue_s, within_s):
    state = watched([report(0.0, 0), report(2.0, 20, queued=120)])
    found = estimate(state, of_class, clear_queue_s)
    assert found.output_tokens_per_s == pytest.approx((10.0 + 120 / clear_queue_s) * 200.0)
    assert found.now_tokens_per_s == pytest.approx((10.0 + 120 / within_s) * 200.0)


def test_a_class_that_went_silent_keeps_the_floor():
    state = watched([report(2.0 * i, 20.0) for i in range(2000)])
    assert demand(state).output_tokens_per_s == pytest.approx(FLOOR_RPS * 200.0, rel=0.01)


def test_a_class_that_appears_later_is_taken_in():
    state = watched([RouterObservation(0.0, 1, ()), report(2.0, 7)])
    assert state.of(CLASS.class_id) is not None
    assert state.of(ClassId("other")) is None
    assert replace(state, observed_at_s=None).observed_s == 0.0
