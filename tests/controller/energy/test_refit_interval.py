import dataclasses

import pytest

from controller.energy.refit_interval import Doing, Interval, busy_of, power_regressors, time_observation
from controller.energy.refit_prior import prior_of
from controller.simulation.profiles import load_profile

CURVES = load_profile("llama-3.1-70b/bf16/4xh100")
TIME = prior_of(CURVES).time
STEP_S = CURVES.step_base_s + CURVES.step_per_seq_s


def interval(**changes):
    full = Interval(Doing.SERVING, 5.0, 10_000.0, 0.01, 2500.0, 100.0, 250.0, (10, 12))
    return dataclasses.replace(full, **changes)


def test_a_full_engine_is_busy_all_the_time():
    assert (busy_of(interval(), TIME).share, busy_of(interval(), TIME).sd) == (1.0, 0.0)


def test_an_engine_without_work_is_not_busy_at_all():
    idle = interval(decode_tokens=0.0, prefill_tokens=0.0, steps=0.0, running=(0, 0))
    assert busy_of(idle, TIME).share == 0.0
    assert power_regressors(idle, busy_of(idle, TIME)) == (0.0, 0.0, 0.0, 1.0)


def test_steps_tell_how_long_a_single_request_took():
    alone = interval(decode_tokens=100.0, prefill_tokens=0.0, steps=100.0, running=(1, 0))
    busy = busy_of(alone, TIME)
    assert busy.share == pytest.approx(100 * STEP_S / 5.0)
    assert 0.0 < busy.sd < 0.2


def test_two_requests_that_share_their_steps_take_half_the_time():
    shared = interval(decode_tokens=100.0, prefill_tokens=0.0, steps=50.0, running=(2, 0))
    assert busy_of(shared, TIME).share < 0.55 * 100 * STEP_S / 5.0


def test_without_a_count_of_steps_it_is_a_guess_and_known_as_such():
    guess = busy_of(interval(decode_tokens=100.0, prefill_tokens=0.0, steps=None, running=(1, 0)), TIME)
    assert 0.0 < guess.share < 100 * STEP_S / 5.0
    assert guess.sd >= 0.3


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 1000.0},  # two and a half sequences in a step: it may have been empty in between
        {"running": (0, 12)},
        {"running": (12, 1)},
        {"steps": None, "running": (4, 12)},
        {"steps": None, "running": (10, 20)},
        {"decode_tokens": 0.0},
    ],
)
def test_engine_time_is_only_told_by_engines_that_surely_computed_throughout(changes):
    assert time_observation(interval(**changes)) is None


def test_engine_time_is_told_by_steps_or_else_by_the_batch():
    (steps, decoded, prompted), sd = time_observation(interval())
    assert (steps, decoded, prompted) == (50.0, 500.0, 20.0)
    (guessed, _, _), doubt = time_observation(interval(steps=None, running=(10, 10)))
    assert guessed == pytest.approx(50.0)
    assert doubt > sd
