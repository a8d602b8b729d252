import pytest

from controller.model.capability import Capability, QosCost
from controller.model.grid import Precedence
from tests.fakes.capabilities import offer, told


def test_the_leads_are_those_of_the_offers():
    assert told().leads_s == (30.0, 600.0, 3600.0)
    assert Capability(0.0, None).leads_s == ()


@pytest.mark.parametrize(("lead_s", "achievable_w"), [(30.0, 11_000.0), (599.0, 11_000.0), (1e9, 6000.0)])
def test_the_offer_of_the_longest_lead_that_is_left(lead_s, achievable_w):
    assert told().at(lead_s, QosCost.NONE).achievable_w == achievable_w


def test_nothing_is_promised_sooner_than_it_can_be_done():
    assert told().at(5.0, QosCost.HELD) is None
    assert told().keeping(11_500.0, 5.0, 60.0) is None


@pytest.mark.parametrize(
    ("limit_w", "duration_s", "cost"),
    [
        (8000.0, 1e9, QosCost.NONE),
        (7600.0, 3600.0, QosCost.QUALITY),
        (7600.0, 3601.0, None),
        (7000.0, 60.0, QosCost.WAITING),
        (6500.0, 60.0, QosCost.HELD),
        (6400.0, 60.0, None),
    ],
)
def test_a_limit_is_kept_at_the_least_cost_that_lasts(limit_w, duration_s, cost):
    found = told().keeping(limit_w, 600.0, duration_s)
    assert (None if found is None else found.cost) == cost


@pytest.mark.parametrize("order", [None, Precedence.CONTRACT, Precedence.QOS])
@pytest.mark.parametrize("of_site", list(Precedence))
def test_a_limit_that_yields_to_the_classes_costs_none_of_their_promises(order, of_site):
    known = told(order=of_site)
    yields = Precedence.QOS in (order, of_site)
    assert known.costs(order)[-1] is (QosCost.QUALITY if yields else QosCost.HELD)
    assert (known.keeping(6500.0, 600.0, 60.0, order) is None) is yields
    assert known.keeping(7600.0, 600.0, 60.0, order).cost is QosCost.QUALITY


def test_what_breaks_a_promise_anyway_keeps_no_limit():
    broken = offer(30.0, QosCost.NONE, 9000.0, broken=("serve:standard",))
    assert Capability(0.0, 12_000.0, (broken,)).keeping(10_000.0, 60.0, 60.0) is None


def test_the_uncertainty_is_what_is_told_above_what_is_expected():
    assert offer(30.0, QosCost.NONE, 10_000.0).uncertainty_w == pytest.approx(500.0)
