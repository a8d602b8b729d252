import pytest

from controller.model.mode import Mode

OBSERVE, RECOMMEND, ACT = Mode.OBSERVE, Mode.RECOMMEND, Mode.ACT


@pytest.mark.parametrize(
    ("one", "other", "reach"),
    [(ACT, ACT, ACT), (ACT, RECOMMEND, RECOMMEND), (RECOMMEND, OBSERVE, OBSERVE), (OBSERVE, ACT, OBSERVE)],
)
def test_the_lesser_of_two_holds(one, other, reach):
    assert one.within(other) is reach
    assert other.within(one) is reach
