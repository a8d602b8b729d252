import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.capability import QosCost
from controller.model.derate import Derate
from controller.model.grid import Precedence
from controller.openadr.descriptors import Stretch
from controller.openadr.report_inputs import Shed
from controller.openadr.report_sheds import cost_of, mean_shed_w, within_cost

HOUR = 3600.0
OFFERS = (
    Shed(30.0, 1e3),
    Shed(600.0, 4e3),
    Shed(3600.0, 6e3),
    Shed(30.0, 2e3, 1800.0, QosCost.QUALITY),
    Shed(600.0, 5e3, 1800.0, QosCost.QUALITY),
    Shed(600.0, 9e3, 1800.0, QosCost.HELD),
)
FREE = within_cost(OFFERS, QosCost.NONE)


def mean(sheds, start_s, end_s, now_s=0.0):
    return mean_shed_w(sheds, now_s, Stretch(start_s, end_s, 0))


def test_a_contract_that_goes_before_the_classes_offers_what_they_can_be_held_back():
    assert cost_of(Precedence.CONTRACT) is QosCost.HELD
    assert cost_of(Precedence.QOS) is QosCost.QUALITY
    assert [len(within_cost(OFFERS, cost)) for cost in QosCost] == [3, 5, 5, 6]


def test_what_is_called_now_comes_by_and_by():
    assert mean(FREE, 0.0, 30.0) == 0.0
    assert mean(FREE, 0.0, 60.0) == 500.0
    assert mean(FREE, 30.0, 600.0) == 1e3
    assert mean(FREE, 0.0, HOUR) == pytest.approx((570 * 1e3 + 3000 * 4e3) / HOUR)
    assert mean(FREE, 2 * HOUR, 3 * HOUR) == 6e3, "with notice, the deepest holds from the start"


def test_what_runs_out_yields_to_what_lasts():
    quality = within_cost(OFFERS, QosCost.QUALITY)
    assert mean(quality, 600.0, 1830.0) == 5e3
    assert mean(quality, HOUR, 2 * HOUR) == pytest.approx((1800 * 6e3 + 1800 * 6e3) / HOUR)
    short = (Shed(30.0, 1e3), Shed(30.0, 3e3, 600.0, QosCost.QUALITY))
    assert mean(short, HOUR, 2 * HOUR) == pytest.approx((600 * 3e3 + 3000 * 1e3) / HOUR)


def test_what_is_over_or_not_known_is_not_told():
    assert mean(FREE, 0.0, HOUR, now_s=HOUR) is None
    assert mean((), 0.0, HOUR) is None
    assert mean(FREE, 0.0, HOUR, now_s=1800.0) == pytest.approx((570 * 1e3 + 1200 * 4e3) / HOUR)


@given(st.floats(0.0, 1e4), st.floats(1.0, 1e4), st.floats(0.0, 1e4))
def test_who_may_spend_more_is_told_no_less_and_never_more_than_the_deepest(start_s, length_s, now_s):
    told = [mean(within_cost(OFFERS, cost), start_s, start_s + length_s, now_s) for cost in QosCost]
    if start_s + length_s > now_s:
        assert 0.0 <= told[0] <= told[1] + 1e-6 <= told[2] + 2e-6 <= 9e3 + 1e-3


def test_while_a_derate_holds_no_more_is_told():
    derates = (
        Derate("fans", 2e3, 2.5 * HOUR, 4 * HOUR, "a fan is out", 0.0),
        Derate("x", 9e3, 0.0, 9 * HOUR, "x", 0.0),
    )

    def told(start_s, end_s):
        return mean_shed_w(FREE, 0.0, Stretch(start_s, end_s, 0), derates)

    assert told(2 * HOUR, 3 * HOUR) == pytest.approx(4e3)
    assert (told(3 * HOUR, 4 * HOUR), told(4 * HOUR, 5 * HOUR)) == (2e3, 6e3)
    none = (Derate("all", 0.0, 0.0, 9 * HOUR, "an audit", 0.0),)
    assert mean_shed_w(FREE, 0.0, Stretch(HOUR, 2 * HOUR, 0), none) == 0.0, "which is known, and not missing"
