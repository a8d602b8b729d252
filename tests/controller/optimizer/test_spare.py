import pytest

from controller.optimizer.spare import largest_tokens_per_s, may_lose, missing_spare, spare_usd_per_token
from tests.fakes.problems import class_data, pool_data, problem

SAFE = class_data("standard", 800.0, survives_loss=True)
DATA = problem(classes=(SAFE,), busy_s_per_token=((1e-3, 5e-4),))


def rates(full, lean):
    return (((full,) * 3, (lean,) * 3),)


def test_a_class_may_lose_any_instance_it_uses():
    assert may_lose(DATA, 0) == (0, 1)
    assert may_lose(problem(), 0) == ()
    gone = pool_data("lean", instances=0, max_on=0, on_now=0, sleeping_now=0)
    assert may_lose(problem(classes=(SAFE,), pools=(pool_data("full"), gone)), 0) == (0,)


def test_the_largest_instance_is_the_one_of_most_tokens():
    assert largest_tokens_per_s(DATA, 0) == pytest.approx(0.9 / 5e-4)
    assert largest_tokens_per_s(problem(), 0) == 0.0


def test_what_is_missing_is_told_at_the_worst_interval():
    # 800 of 900 and of 1,800 tokens/s are free where full serves; 1,800 are asked for.
    serving = ((1.0, 1.0, 1.0), (1.0, 1.0, 0.5))
    assert missing_spare(DATA, 0, serving, rates(800.0, 0.0)) == pytest.approx(1800 - 100 - 900)
    assert missing_spare(DATA, 0, ((3.0,) * 3, (3.0,) * 3), rates(800.0, 0.0)) == 0.0
    assert missing_spare(problem(), 0, serving, rates(800.0, 0.0)) == 0.0
    asleep = class_data("standard", 0.0, survives_loss=True)
    assert missing_spare(problem(classes=(asleep,)), 0, ((0.0,) * 3,) * 2, rates(0.0, 0.0)) == 0.0


def test_its_price_stands_between_headroom_and_serving():
    assert 0.01 * 1e-3 < spare_usd_per_token(DATA, 0) < 1e-3


def test_no_class_stays_unserved_for_the_spare_capacity_of_another():
    poor = class_data("flex", 100.0, serve_usd_per_token=1e-6)
    data = problem(
        classes=(SAFE, poor),
        busy_s_per_token=((1e-3, 5e-4),) * 2,
        j_per_token=((1.0, 1.0),) * 2,
        allowed=((True, True),) * 2,
    )
    assert spare_usd_per_token(data, 0) < 1e-6
