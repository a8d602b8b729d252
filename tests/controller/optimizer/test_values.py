from dataclasses import fields

import pytest

from controller.optimizer.outcome import power_w
from controller.optimizer.values import energy_bill, most_power_w, set_values, shape_of
from controller.optimizer.variables import Parameters
from tests.fakes.problems import pool_data, problem


def test_the_shape_reaches_as_far_as_the_slowest_start():
    assert shape_of(problem()).lags == 2  # 90 s in intervals of 60 s
    assert shape_of(problem(pools=(pool_data("full", start_s=1e6), pool_data("lean")))).lags == 3
    assert shape_of(problem(pools=(pool_data("full", start_s=0.0, wake_s=0.0),) * 2)).lags == 1


def test_every_parameter_is_set():
    data = problem()
    p = Parameters.of(shape_of(data))
    set_values(p, data, shape_of(data))
    for each in fields(p):
        given = getattr(p, each.name)
        assert all(one.value is not None for one in (given if isinstance(given, tuple) else (given,))), each.name


def test_no_limit_is_a_power_that_cannot_be_reached():
    data = problem()
    everything = power_w(data, ((3,) * 3,) * 2, ((0,) * 3,) * 2, (((800.0,) * 3, (0.0,) * 3),))
    assert most_power_w(data, 0) > max(everything[0])


def test_the_bill_is_positive_even_when_energy_is_free_or_pays():
    assert energy_bill(problem(price_usd_per_mwh=(0.0,) * 3)) > 0
    assert energy_bill(problem(price_usd_per_mwh=(-50.0,) * 3)) == pytest.approx(energy_bill(problem()))
