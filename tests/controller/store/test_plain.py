import pytest

from controller.model.observation import Observation
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import Adjustment, Baseline
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


def test_what_was_kept_before_a_field_was_there_is_read_with_its_default():
    """An adjustment may be none, and had five fields once: frozen baselines are kept for years."""
    old = {"factor": 1.1, "uncapped": 1.3, "from_s": 0.0, "until_s": 9.0, "reason": ""}
    plain = to_plain(Baseline(BaselineMethod.TEN_OF_TEN, None, "", (), None, None)) | {"adjustment": old}
    del plain["readings"], plain["fit"]
    kept = from_plain(Baseline, plain)
    assert kept.adjustment == Adjustment(1.1, 1.3, 0.0, 9.0)
    assert (kept.readings, kept.fit) == ((), None)
    with pytest.raises(ValueError, match="surplus"):
        from_plain(Baseline, plain | {"adjustment": old | {"surplus": 1}})
