import pytest

from controller.model.derate import Derate, next_below, tightest

ALL = (
    Derate("a", 20e3, 100.0, 400.0, "a fan", 0.0),
    Derate("b", 10e3, 200.0, 300.0, "a chiller", 0.0),
    Derate("c", 0.0, 500.0, 600.0, "an audit", 0.0),
)


@pytest.mark.parametrize(
    ("time_s", "name"), [(99.0, None), (100.0, "a"), (200.0, "b"), (300.0, "a"), (400.0, None), (550.0, "c")]
)
def test_of_several_the_one_that_leaves_the_least_counts(time_s, name):
    found = tightest(ALL, time_s)
    assert (None if found is None else found.derate_id) == name


@pytest.mark.parametrize(
    ("shed_w", "time_s", "name"),
    [(30e3, 0.0, "a"), (20e3, 0.0, "b"), (10e3, 0.0, "c"), (0.0, 0.0, None), (30e3, 100.0, "b"), (30e3, 500.0, None)],
)
def test_the_next_that_leaves_less_than_there_is(shed_w, time_s, name):
    found = next_below(ALL, shed_w, time_s)
    assert (None if found is None else found.derate_id) == name


def test_one_without_length_is_none():
    with pytest.raises(ValueError, match="has no length"):
        Derate("a", 1.0, 5.0, 5.0, "x", 0.0)
