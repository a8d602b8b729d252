import numpy as np
import pytest

from controller.errors import SolverError
from controller.optimizer.onsite import Flows
from controller.optimizer.rounding import flows, rates, whole
from controller.optimizer.variables import Shape


def test_nearly_whole_numbers_become_whole():
    assert whole("on", np.array([[0.9999999, 2.0000001], [-1e-9, 3.0]])) == ((1, 2), (0, 3))


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_anything_else_is_refused(value):
    with pytest.raises(SolverError, match=r"on: .* is not whole"):
        whole("on", np.array([[value]]))


def test_rates_lose_what_is_negative_or_tiny_by_arithmetic():
    every = Shape(sites=1, classes=2, steps=1, pairs=((0, 0), (0, 1), (1, 0), (1, 1)), site_of_pool=(0, 0))
    assert rates(np.array([[1.5], [-1e-12], [1e-9], [2.0]]), every) == (((1.5,), (0.0,)), ((0.0,), (2.0,)))


def test_what_a_class_may_not_use_has_no_rate():
    some = Shape(sites=1, classes=2, steps=1, pairs=((0, 1), (1, 0)), site_of_pool=(0, 0))
    assert rates(np.array([[1.5], [2.0]]), some) == (((0.0,), (1.5,)), ((2.0,), (0.0,)))


def test_rates_that_are_no_numbers_are_refused():
    with pytest.raises(SolverError, match="not finite"):
        rates(np.array([[float("nan")]]), Shape(1, 1, 1, ((0, 0),), (0,)))


COLUMNS = {
    "import_w": np.array([[0]]),
    "pv_used_w": np.array([[1]]),
    "charge_w": np.array([[2]]),
    "discharge_w": np.array([[3]]),
}


def test_flows_of_assets_are_cleaned_like_rates():
    assert flows(np.array([900.0, 100.0, 1e-5, -1e-9]), COLUMNS) == Flows(((100.0,),), ((0.0,),), ((0.0,),))


def test_a_plan_without_assets_has_no_flows():
    assert flows(np.array([900.0]), {"site_w": np.array([[0]])}) is None


def test_flows_must_be_finite():
    with pytest.raises(SolverError, match="not finite"):
        flows(np.array([0.0, np.nan, 0.0, 0.0]), COLUMNS)
