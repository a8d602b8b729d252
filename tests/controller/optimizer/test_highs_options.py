import highspy
import pytest

from controller.optimizer.highs_options import ALWAYS, FEW, PLAINLY, opened


@pytest.mark.parametrize(("name", "value"), [*ALWAYS.items(), *PLAINLY.items()])
def test_the_installed_highs_knows_every_option(name, value):
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.setOptionValue(name, value) == highspy.HighsStatus.kOk


def value_of(highs, name):
    return highs.getOptionValue(name)[1]


@pytest.mark.parametrize(("whole_numbers", "is_plain"), [(0, False), (1, True), (FEW, True), (FEW + 1, False)])
def test_few_whole_numbers_are_searched_plainly_and_many_as_highs_chooses(whole_numbers, is_plain):
    highs = opened({"threads": 1}, whole_numbers)
    for name, value in PLAINLY.items():
        by_itself = value_of(highspy.Highs(), name)
        assert by_itself != value
        assert value_of(highs, name) == (value if is_plain else by_itself)


def test_what_the_caller_wants_is_set_beside_what_every_search_has():
    highs = opened({"mip_abs_gap": 3.5, "time_limit": 7.0}, 0)
    assert [value_of(highs, name) for name in ("mip_abs_gap", "time_limit", "output_flag", "random_seed")] == [
        3.5,
        7.0,
        False,
        0,
    ]
