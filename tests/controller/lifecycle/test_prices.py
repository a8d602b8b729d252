from dataclasses import replace

import pytest

from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.prices import Costs, promise_prices
from controller.lifecycle.ramps import Ramps, step_w
from controller.model.grid import Precedence
from controller.optimizer.workload import Lengths, j_per_token
from tests.fakes.fake_fleet import site

POLICY = TickPolicy(steps=4)
QOS = replace(POLICY, precedence=Precedence.QOS)
CALM, RAMPED = Ramps(), Ramps(up_w=3000.0, down_w=4000.0)
LENGTHS = (Lengths(1155.0, 211.0),) * 3
HUNGRIEST_W = site().pue * max(pool.curves.p0_w for pool in site().pools)
LEAST_J = site().pue * min(j_per_token(pool.curves, LENGTHS[0]) for pool in site().pools)
PRICES = [0.0, 60.0 / 3.6e9, 5000.0 / 3.6e9]
"""USD/J."""


def prices(policy=POLICY, usd_per_j=PRICES[1], ramps=CALM):
    return promise_prices(site(), policy, Costs(usd_per_j, LENGTHS, ramps))


@pytest.mark.parametrize("usd_per_j", PRICES)
@pytest.mark.parametrize("ramps", [CALM, RAMPED])
def test_where_the_contract_comes_first_a_watt_over_the_limit_outbids_the_tokens_it_decodes(usd_per_j, ramps):
    told = prices(usd_per_j=usd_per_j, ramps=ramps)
    assert told.limit_usd_per_j * LEAST_J > max(told.serve)
    assert min(told.serve) > usd_per_j * HUNGRIEST_W


@pytest.mark.parametrize("usd_per_j", PRICES)
@pytest.mark.parametrize("ramps", [CALM, RAMPED])
def test_where_the_classes_do_a_trickle_outbids_the_power_of_an_instance(usd_per_j, ramps):
    told = prices(QOS, usd_per_j, ramps)
    assert usd_per_j < told.limit_usd_per_j < min(told.serve) / HUNGRIEST_W


@pytest.mark.parametrize("usd_per_j", PRICES)
def test_a_ramp_outbids_tokens_for_as_long_as_it_is_felt_and_yields_to_the_limit(usd_per_j):
    told = prices(usd_per_j=usd_per_j, ramps=RAMPED)
    assert told.ramp_usd_per_w * LEAST_J > max(told.serve) * POLICY.step_s * POLICY.steps
    assert told.limit_usd_per_j * POLICY.step_s > told.ramp_usd_per_w


@pytest.mark.parametrize("usd_per_j", PRICES)
def test_with_the_classes_first_a_ramp_outbids_energy_and_moves_and_yields_to_the_limit(usd_per_j):
    told = prices(QOS, usd_per_j, RAMPED)
    whole = site()
    least_step_w = min(step_w(whole, pool) for pool in whole.pools)
    assert told.ramp_usd_per_w > usd_per_j * QOS.step_s * QOS.steps
    assert told.ramp_usd_per_w * least_step_w > max(pool.start_usd for pool in whole.pools)
    assert told.limit_usd_per_j * QOS.step_s > told.ramp_usd_per_w
    assert told.limit_usd_per_j * HUNGRIEST_W < min(told.serve)


def waiting(*names):
    whole = site()
    return replace(
        whole,
        classes=tuple(replace(cls, priority=-1) if cls.class_id in names else cls for cls in whole.classes),
    )


@pytest.mark.parametrize("policy", [POLICY, QOS])
@pytest.mark.parametrize(
    "of", [site(), waiting("flex"), waiting("flex", "premium"), waiting("premium", "standard", "flex")]
)
def test_headroom_yields_before_any_token_and_quality_before_those_that_may_not_wait(policy, of):
    told = promise_prices(of, policy, Costs(PRICES[1], LENGTHS, CALM))
    worst = told.quality_usd_per_token * max(each for row in of.losses for each in row)
    for usd, cls in zip(told.serve, of.classes, strict=True):
        assert usd < worst / 50.0 if cls.may_wait else usd > worst * 5.0
    fastest = max(1.0 / pool.curves.step_per_seq_s for pool in of.pools)
    assert told.headroom_usd_per_s / fastest < min(worst, *told.serve) / 5.0
    if policy is POLICY:
        assert told.limit_usd_per_j * LEAST_J > max(worst, *told.serve)


def test_those_that_may_wait_keep_their_order_below_all_others_whatever_they_are_worth():
    told = promise_prices(waiting("flex", "premium"), POLICY, Costs(PRICES[1], LENGTHS, CALM))
    premium, standard, flex = told.serve
    assert premium / flex == pytest.approx(5000.0 / 200.0)
    assert premium == pytest.approx(1e-3 * standard)


def classes(*of):
    """Classes with these priorities and worths, USD per million tokens."""
    first = site().classes[0]
    return replace(
        site(),
        classes=tuple(replace(first, priority=p, serve_usd_per_mtoken=usd) for p, usd in of),
    )


@pytest.mark.parametrize(
    ("of", "relative"),
    [
        ([(1, 1000.0), (0, 1000.0)], [3.0, 1.0]),
        ([(2, 1.0), (1, 9000.0), (0, 1000.0)], [27.0, 9.0, 1.0]),
        ([(1, 9000.0), (0, 1000.0), (0, 2000.0)], [9.0, 1.0, 2.0]),
        ([(0, 1000.0), (-1, 1000.0), (-2, 1000.0)], [1.0, 1e-3, 1e-3 / 3.0]),
        ([(-1, 500.0), (-2, 1000.0)], [6.0, 2.0]),
    ],
)
def test_a_class_of_higher_priority_yields_after_those_of_lower_whatever_they_are_worth(of, relative):
    told = promise_prices(classes(*of), POLICY, Costs(PRICES[1], LENGTHS, CALM)).serve
    least = told[len(of) - 1] / relative[-1]
    assert [usd / least for usd in told] == pytest.approx(relative)


def test_one_that_may_wait_and_is_worth_little_is_worth_no_more():
    of = waiting("flex")
    little = replace(of, classes=(*of.classes[:2], replace(of.classes[2], serve_usd_per_mtoken=0.5)))
    told = promise_prices(little, POLICY, Costs(PRICES[1], LENGTHS, CALM))
    assert told.serve[2] / told.serve[1] == pytest.approx(0.5 / 1000.0)


def test_a_class_is_worth_what_it_is_said_to_be_beside_the_others():
    told = prices()
    assert told.serve[0] / told.serve[2] == pytest.approx(5000.0 / 200.0)
