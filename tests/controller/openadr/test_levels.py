import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.model.call import Asked, Commitment
from controller.openadr.levels import level, level_of_share

NOTHING = Commitment(Asked.NOTHING)
TABLE = {10: 1, 25: 2, 50: 3}
BELOW = {-10: 1, -25: 2, -50: 3}


@pytest.mark.parametrize(("value", "number"), [(0.1, 1), (0.11, 2), (0.25, 2), (0.3, 3), (0.5, 3), (0.001, 1)])
def test_a_percentage_calls_for_a_level_that_is_no_less(value, number):
    assert level_of_share(value, TABLE, "at") == Commitment(Asked.LEVEL, number)
    assert level_of_share(-value, BELOW, "at") == Commitment(Asked.LEVEL, number)


def test_the_sign_of_the_table_is_the_one_that_asks_for_less():
    assert level_of_share(-0.2, TABLE, "at") == level_of_share(0.2, BELOW, "at") == NOTHING
    assert level_of_share(0.0, TABLE, "at") == level_of_share(0.0, None, "at") == NOTHING


@pytest.mark.parametrize(
    ("value", "table", "said"),
    [
        (0.2, None, "does not say what CONTROL_LEVEL_OFFSET_PERCENT comes to.*set percent_levels"),
        (0.51, TABLE, "51 % is further than percent_levels tells"),
        (-0.6, BELOW, "-60 % is further than percent_levels tells"),
        (25.0, TABLE, "25.0 is no share from -1 to 1; 25 % is 0.25"),
        (-1.01, TABLE, "no share"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_remedy(value, table, said):
    with pytest.raises(MessageError, match=said):
        level_of_share(value, table, "at")


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_who_asks_for_more_is_never_given_less(one, other):
    whole = {**TABLE, 100: 4}
    less, more = (level_of_share(value, whole, "at").value for value in sorted((one, other)))
    assert less <= more


def test_a_level_is_a_whole_number_of_its_kind():
    assert level("SIMPLE", 3.0, "at") == Commitment(Asked.LEVEL, 3.0)
    assert level("CONTROL_LEVEL_OFFSET", -10.0, "at") == NOTHING
    with pytest.raises(MessageError, match=r"4\.0 is not a level of SIMPLE: a whole number from 0 to 3"):
        level("SIMPLE", 4.0, "at")
