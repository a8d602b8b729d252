from dataclasses import fields

import cvxpy as cp
import numpy as np
import pytest

from controller.optimizer.variables import Parameters, Shape, Variables, before, sum_over_classes, sum_over_pools

SHAPE = Shape(classes=2, pools=3, steps=4, lags=2)


def test_instances_are_whole_in_the_plan_and_free_in_the_dispatch():
    assert Variables.of(SHAPE).on.attributes["integer"]
    assert not Variables.of(SHAPE, whole=False).sleeping.attributes["integer"]


def test_every_variable_is_nonnegative():
    v = Variables.of(SHAPE)
    assert all(getattr(v, each.name).is_nonneg() for each in fields(v))


def test_lagged_parameters_have_one_entry_a_lag():
    assert len(Parameters.of(SHAPE).eta_start) == 2


def test_rows_are_ordered_by_class_then_pool():
    tokens = np.arange(6.0).reshape(6, 1)  # row r·3 + k
    assert (sum_over_pools(SHAPE) @ tokens).ravel().tolist() == [0 + 1 + 2, 3 + 4 + 5]
    assert (sum_over_classes(SHAPE) @ tokens).ravel().tolist() == [0 + 3, 1 + 4, 2 + 5]


@pytest.mark.parametrize("steps", [1, 3])
def test_before_is_the_series_one_interval_earlier(steps):
    series = cp.Constant(np.arange(float(steps)).reshape(1, steps) + 1)
    now = cp.Constant(np.array([[9.0]]))
    assert before(now, series).value.tolist() == [[9.0, 1.0, 2.0][:steps]]
