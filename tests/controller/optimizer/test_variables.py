from dataclasses import fields, replace

import cvxpy as cp
import numpy as np
import pytest

from controller.optimizer.variables import Shape, Variables, before, sum_over_classes, sum_over_pools

PAIRS = ((0, 0), (0, 2), (1, 0), (1, 1))
SHAPE = Shape(sites=2, classes=2, steps=4, pairs=PAIRS, site_of_pool=(0, 0, 1), lags=2)


def test_instances_are_whole_in_the_plan_and_free_in_the_dispatch():
    assert Variables.of(SHAPE).on.attributes["integer"]
    assert not Variables.of(SHAPE, whole=False).sleeping.attributes["integer"]


def test_every_variable_is_nonnegative():
    v = Variables.of(SHAPE)
    present = [getattr(v, each.name) for each in fields(v) if getattr(v, each.name) is not None]
    assert all(variable.is_nonneg() for variable in present)


OPTIONAL = {"with_assets", "with_response", "with_deferral", "with_spare"}


def test_what_a_shape_has_no_use_for_is_not_there():
    assert {each.name for each in fields(Variables) if getattr(Variables.of(SHAPE), each.name) is not None} == {
        *("on", "sleeping", "wakes", "starts", "sleeps", "stops", "tokens", "site_w", "unserved"),
        *("over_limit_w", "over_quality", "over_ramp_w", "over_busy"),
    }
    every = Variables.of(replace(SHAPE, **dict.fromkeys(OPTIONAL, True)))
    assert all(getattr(every, each.name) is not None for each in fields(every))


def test_what_is_drawn_is_the_load_where_nothing_else_stands_behind_the_meter():
    v = Variables.of(SHAPE)
    assert v.drawn_w is v.site_w
    with_assets = Variables.of(replace(SHAPE, with_assets=True))
    assert with_assets.drawn_w is with_assets.import_w
    assert with_assets.soc_wh.shape == (2, 5)


def test_pairs_are_summed_by_class_and_by_pool():
    tokens = np.array([[1.0], [2.0], [4.0], [8.0]])
    assert (sum_over_pools(SHAPE) @ tokens).ravel().tolist() == [1 + 2, 4 + 8]
    assert (sum_over_classes(SHAPE) @ tokens).ravel().tolist() == [1 + 4, 8, 2]


@pytest.mark.parametrize("steps", [1, 3])
def test_before_is_the_series_one_interval_earlier(steps):
    series = cp.Constant(np.arange(float(steps)).reshape(1, steps) + 1)
    now = cp.Constant(np.array([[9.0]]))
    assert before(now, series).value.tolist() == [[9.0, 1.0, 2.0][:steps]]
