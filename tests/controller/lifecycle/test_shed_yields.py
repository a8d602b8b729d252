import pytest

from controller.lifecycle.shed_yields import called, names_of, refused, yielding
from controller.model.capability import QosCost
from controller.model.plan import Slack
from controller.optimizer.least_power import least_power_problem
from tests.controller.lifecycle.test_capability import facts

BROKEN = (
    Slack("headroom", "fp8", 0.1, "instances"),
    Slack("quality", "standard", 0.2, "loss·tokens/s"),
    Slack("serve", "flex", 9.0, "tokens/s"),
    Slack("serve", "standard", 1.0, "tokens/s"),
    Slack("limit", "test", 5.0, "W"),
)


@pytest.fixture(scope="module")
def known():
    return facts(34)


@pytest.mark.parametrize(
    ("cost", "names"),
    [
        (QosCost.NONE, ("headroom:fp8", "quality:standard", "serve:flex", "serve:standard", "limit:test")),
        (QosCost.QUALITY, ("headroom:fp8", "quality:standard", "serve:flex", "serve:standard", "limit:test")),
        (QosCost.WAITING, ("quality:standard", "serve:standard", "limit:test")),
        (QosCost.HELD, ("serve:standard", "limit:test")),
    ],
)
def test_what_gives_way_is_room_who_waits_and_quality_and_never_another_class_nor_the_limit(known, cost, names):
    assert names_of(refused(BROKEN, known.data, (False, False, True), cost)) == names


def test_under_a_limit_the_prices_are_those_of_the_tick(known):
    least = yielding(least_power_problem(known.data, (0.0,) * 3, (1.0,) * 3))
    assert least.headroom_usd_per_s == 0.0
    asked = called(known.data, least, tuple((now, 0.5) for now in known.present), 9000.0)
    assert [cls.demand_tokens_per_s for cls in asked.classes] == [(now,) for now in known.present]
    assert {cls.quality_budget_frac for cls in asked.classes} == {(0.5,)}
    assert asked.headroom_usd_per_s == known.data.headroom_usd_per_s > 0.0
    assert (asked.sites[0].limit_w, asked.sites[0].price_usd_per_mwh) == (
        (9000.0,),
        known.data.sites[0].price_usd_per_mwh[:1],
    )
