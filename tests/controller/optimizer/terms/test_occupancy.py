import pytest

from controller.optimizer.terms.occupancy import gpu_count, instance_bounds
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = problem(pools=(pool_data("full", gpus_per_instance=4, min_on=1, max_on=2), pool_data("lean")), gpus=10)


def test_instances_exist_and_stay_within_their_bounds():
    assert Desk(DATA, on=[[2.0] * 3, [1.0] * 3], sleeping=[[1.0] * 3, [2.0] * 3]).violation(instance_bounds) == 0.0
    assert Desk(DATA).is_dpp(instance_bounds)


@pytest.mark.parametrize(
    ("on", "sleeping"),
    [
        pytest.param([[2.0] * 3, [2.0] * 3], [[1.0] * 3, [2.0] * 3], id="more than there are"),
        pytest.param([[0.0] * 3, [1.0] * 3], [[1.0] * 3, [1.0] * 3], id="below the least"),
        pytest.param([[3.0] * 3, [1.0] * 3], [[0.0] * 3, [1.0] * 3], id="above the most"),
    ],
)
def test_other_counts_are_refused(on, sleeping):
    assert Desk(DATA, on=on, sleeping=sleeping).violation(instance_bounds) == pytest.approx(1.0)


def test_sleepers_hold_their_gpus_too():
    assert Desk(DATA, on=[[1.0] * 3, [1.0] * 3], sleeping=[[1.0] * 3, [0.0] * 3]).violation(gpu_count) == 0.0
    over = Desk(DATA, on=[[1.0] * 3, [1.0] * 3], sleeping=[[1.0] * 3, [1.0] * 3])
    assert over.violation(gpu_count) == pytest.approx(2.0)
    assert over.is_dpp(gpu_count)


BUSY = {"classes": (class_data("standard", 2500.0),), "peak_frac": 0.9}


@golden(instance_bounds)
def test_no_more_instances_serve_than_may():
    plan = planned(steady(pools=(pool_data("full", max_on=2, wake_s=0.0),), **BUSY))
    assert plan.pools[0].on == (2, 2, 2)
    assert [(s.promise, s.amount) for s in plan.slack] == [("serve", pytest.approx(700.0))]


@golden(gpu_count)
def test_no_more_instances_serve_than_there_are_gpus_for():
    plan = planned(steady(pools=(pool_data("full", sleeping_now=1, wake_s=0.0, start_s=0.0),), gpus=5, **BUSY))
    assert plan.pools[0].on == (2, 2, 2)
    assert plan.pools[0].sleeping == (0, 0, 0)
    assert [(s.promise, s.amount) for s in plan.slack] == [("serve", pytest.approx(700.0))]
