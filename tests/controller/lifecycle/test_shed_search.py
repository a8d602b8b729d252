from dataclasses import replace

import pytest

from controller.lifecycle.shed_search import SOON_S, Search
from controller.lifecycle.shed_terms import terms_of
from controller.model.capability import QosCost
from tests.controller.lifecycle.test_capability import PLANNER, drawn


def search(known):
    return Search(PLANNER, known, terms_of(known.classes, known.burns, known.data), 5.0)


@pytest.fixture(scope="module")
def known():
    return drawn(6).last.facts


def test_a_least_power_that_the_plan_would_rather_break_another_promise_for_is_backed_off():
    """At the very least power it would hold some of the classes that may not wait."""
    found = search(drawn(9).last.facts)
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


def test_routers_alone_draw_no_less_than_with_instances_that_move(known):
    found = search(known)
    soon = found.moved(SOON_S, QosCost.NONE, None)
    assert found.at_once(QosCost.NONE, soon).surely_w >= soon.surely_w
