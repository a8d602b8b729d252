from dataclasses import replace

import pytest

from controller.lifecycle.shed_search import SOON_S, Search, without_notice_s
from controller.lifecycle.shed_terms import terms_of
from controller.model.capability import QosCost
from tests.fakes.called_fleet import PLANNER, drawn


def search(known):
    return Search(PLANNER, known, terms_of(known.classes, known.burns, known.data), 5.0)


@pytest.fixture(scope="module")
def known():
    return drawn(6).facts


def test_a_least_power_that_the_plan_would_rather_break_another_promise_for_is_backed_off():
    """At the very least power it would hold some of the classes that may not wait."""
    found = search(drawn(9).facts)
    cheaper = found.moved(SOON_S, QosCost.QUALITY, None)
    held = found.moved(SOON_S, QosCost.HELD, cheaper)
    assert held.broken == ()
    assert held.plan.import_w[0] + 100.0 < held.expected_w < cheaper.expected_w
    assert held.called.import_w[0] <= held.surely_w + 1.0
    assert {each.subject for each in held.called.slack if each.promise in ("serve", "limit")} == {"flex"}


def test_what_no_plan_keeps_at_the_cost_is_told_to_be_broken(known):
    heavy = replace(known, present=tuple(100.0 * each for each in known.present))
    cheaper = search(heavy).moved(SOON_S, QosCost.NONE, None)
    assert any(each.startswith("serve:") for each in cheaper.broken)
    assert search(heavy).moved(SOON_S, QosCost.HELD, cheaper).broken


def test_without_notice_no_less_is_drawn_than_once_others_have_woken(known):
    found = search(known)
    soon = found.moved(SOON_S, QosCost.NONE, None)
    at_once = found.at_once(QosCost.NONE, soon, None)
    assert soon.surely_w <= at_once.surely_w < 1.02 * soon.surely_w


def test_where_those_that_serve_are_too_few_for_what_is_foreseen_they_are_told_with_what_must_come(known):
    """More is asked for in ten minutes than they can serve: by then as much is drawn as must serve it."""
    classes = tuple(
        replace(cls, demand_tokens_per_s=(*cls.demand_tokens_per_s[:-1], 2.0 * cls.demand_tokens_per_s[-1]))
        for cls in known.data.classes
    )
    found = search(replace(known, data=replace(known.data, classes=classes)))
    soon = found.moved(SOON_S, QosCost.NONE, None)
    at_once = found.at_once(QosCost.NONE, soon, None)
    assert (soon.broken, at_once.broken) == ((), ())
    assert at_once.surely_w >= soon.surely_w > search(known).moved(SOON_S, QosCost.NONE, None).surely_w + 500.0


@pytest.mark.parametrize(("gone_s", "lead_s"), [(3.0, 30.0), (30.0, 30.0), (31.0, 60.0), (2000.0, 570.0)])
def test_by_when_a_call_without_notice_is_followed(known, gone_s, lead_s):
    """Pools none of whose instances serve have nobody to let go."""
    others = replace(known, serving=(1, 0, 1), gone_s=(gone_s, 5000.0, 1.0))
    assert without_notice_s(others) == lead_s
