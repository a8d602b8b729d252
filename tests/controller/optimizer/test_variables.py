from dataclasses import fields

import cvxpy as cp
import numpy as np
import pytest

from controller.optimizer.variables import Parameters, Shape, Variables, before, sum_over_classes, sum_over_pools

PAIRS = ((0, 0), (0, 2), (1, 0), (1, 1))
SHAPE = Shape(sites=2, classes=2, steps=4, pairs=PAIRS, site_of_pool=(0, 0, 1), lags=2)


def test_instances_are_whole_in_the_plan_and_free_in_the_dispatch():
    assert Variables.of(SHAPE).on.attributes["integer"]
    assert not Variables.of(SHAPE, whole=False).sleeping.attributes["integer"]


def test_every_variable_is_nonnegative():
    v = Variables.of(SHAPE)
    assert all(getattr(v, each.name).is_nonneg() for each in fields(v))


def test_lagged_parameters_have_one_entry_a_lag():
    assert len(Parameters.of(SHAPE).eta_start) == 2


def test_pairs_are_summed_by_class_and_by_pool():
    tokens = np.array([[1.0], [2.0], [4.0], [8.0]])
    assert (sum_over_pools(SHAPE) @ tokens).ravel().tolist() == [1 + 2, 4 + 8]
    assert (sum_over_classes(SHAPE) @ tokens).ravel().tolist() == [1 + 4, 8, 2]


@pytest.mark.parametrize("steps", [1, 3])
def test_before_is_the_series_one_interval_earlier(steps):
    series = cp.Constant(np.arange(float(steps)).reshape(1, steps) + 1)
    now = cp.Constant(np.array([[9.0]]))
    assert before(now, series).value.tolist() == [[9.0, 1.0, 2.0][:steps]]
