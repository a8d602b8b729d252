import pytest

from controller.model.capability import Capability, QosCost
from controller.model.derate import Derate
from controller.model.grid import Precedence
from tests.fakes.capabilities import offer, told
from tests.fakes.controller_parts import NOW_S


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


def derate(shed_w, start_in_s=0.0, lasts_s=1e6):
    return Derate("fans", shed_w, NOW_S + start_in_s, NOW_S + start_in_s + lasts_s, "a fan is out", NOW_S)


def test_while_a_derate_holds_no_more_is_offered_and_what_could_be_stays_known():
    known = told().derated((derate(1500.0),), NOW_S)
    assert [known.at(lead_s, QosCost.NONE).shed_w for lead_s in (30.0, 600.0, 3600.0)] == [1000.0, 1500.0, 1500.0]
    least = known.at(600.0, QosCost.NONE)
    assert (least.achievable_w, least.uncertainty_w) == (10_500.0, pytest.approx(400.0))
    assert (least.derate.derate_id, least.possible.shed_w, least.possible.achievable_w) == ("fans", 4000.0, 8000.0)
    free = known.at(30.0, QosCost.NONE)
    assert (free.derate, free.possible) == (None, None)
    assert known.keeping(10_500.0, 600.0, 60.0).cost is QosCost.NONE
    assert known.keeping(10_000.0, 600.0, 60.0) is None
    assert known.possible == told().offers
    assert known.derated((), NOW_S).offers == told().offers


def test_with_nothing_to_offer_only_what_is_drawn_is_kept():
    known = told().derated((derate(0.0),), NOW_S)
    assert {(each.shed_w, each.achievable_w) for each in known.offers} == {(0.0, 12_000.0)}
    assert known.keeping(11_999.0, 3600.0, 60.0) is None


def test_what_begins_before_a_derate_lasts_until_it_begins():
    known = told().derated((derate(1500.0, 1800.0, 600.0),), NOW_S)
    soon = known.at(600.0, QosCost.NONE)
    assert (soon.shed_w, soon.duration_s, soon.derate.derate_id, soon.possible.duration_s) == (
        4e3,
        1200.0,
        "fans",
        None,
    )
    assert known.at(30.0, QosCost.NONE).duration_s is None, "it is no more than what is left"
    assert known.at(3600.0, QosCost.NONE).derate is None, "it is over by then"
    assert known.at(1800.0, QosCost.NONE).shed_w == 1500.0, "a lead between those that are told"
    assert (known.keeping(8000.0, 600.0, 1200.0) is None, known.keeping(8000.0, 600.0, 1201.0) is None) == (False, True)
    assert known.at(600.0, QosCost.QUALITY).duration_s == 1200.0
    short = told().derated((derate(1500.0, 4500.0, 600.0),), NOW_S)
    assert short.at(600.0, QosCost.QUALITY).derate is None, "it has run out by then"


def test_the_time_is_that_of_the_look_not_of_the_computation():
    known = told(NOW_S - 170.0).derated((derate(0.0, 0.0, 60.0),), NOW_S)
    assert known.at(30.0, QosCost.NONE).shed_w == 0.0
