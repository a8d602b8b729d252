import pytest

from controller.model.gpu_limit import Found, GpuLimit, When
from router.contract import PoolId


def test_a_limit_is_told_with_its_unit():
    assert GpuLimit(PoolId("a"), (), When.FIXED, power_limit_w=450.0).told == "450 W"
    assert GpuLimit(PoolId("a"), (), When.FIXED, max_clock_mhz=1200).told == "1200 MHz"


def test_a_limit_that_no_controller_has_set_is_somebody_elses():
    found = Found("GPU-a", 700.0).and_ours(450.0).and_ours(400.0).and_ours(400.3)
    assert found.ours_w == (450.0, 400.0)
    assert found.may_be_ours(450.5)
    assert not found.may_be_ours(500.0)
    assert (found.is_as_found(699.5), found.is_as_found(450.0)) == (True, False)
    assert Found("GPU-a", 700.0).may_be_ours(500.0), "of what an older version kept it is not known"
    assert not Found("GPU-a", None).is_as_found(700.0)


OWN = Found("GPU-a", 700.0, (450.0,))


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (Found("GPU-a", 600.0, (450.0,)), Found("GPU-a", 600.0, (450.0,))),  # given back and changed meanwhile
        (Found("GPU-a", 700.0, (400.0,)), Found("GPU-a", 700.0, (400.0,))),
        (Found("GPU-a", 450.0, (400.0,)), Found("GPU-a", 700.0, (450.0, 400.0))),  # was not told of what was found
        (Found("GPU-a", None), Found("GPU-a", None)),
    ],
)
def test_what_another_found_later_goes_before_unless_it_found_what_a_controller_had_set(theirs, found):
    assert OWN.going_on_from(theirs) == found


def test_what_another_found_goes_before_where_it_is_not_known_what_this_one_had_set():
    assert Found("GPU-a", 700.0).going_on_from(Found("GPU-a", 450.0)) == Found("GPU-a", 450.0)
