import pytest

from controller.model.observation import Observation
from controller.store.plain import from_plain, to_plain
from tests.fakes.controller_parts import NOW_S, observation


def test_a_value_comes_back_as_it_was():
    assert from_plain(Observation, to_plain(observation())) == observation()


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"now_s": 1.0},
        {**to_plain(observation()), "now_s": "soon"},
        {**to_plain(observation()), "router": {"who": 1}},
        {**to_plain(observation()), "router": 3},
        {**to_plain(observation()), "surplus": 3},
    ],
)
def test_what_does_not_fit_the_type_is_refused(value):
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_plain(Observation, value)


def test_whole_numbers_stand_for_floats():
    assert from_plain(Observation, {**to_plain(observation()), "now_s": int(NOW_S)}) == observation()
