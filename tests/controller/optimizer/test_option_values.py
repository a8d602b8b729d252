from dataclasses import fields

import numpy as np
import pytest

from controller.optimizer.parameters import Parameters
from controller.optimizer.values import set_values, shape_of
from tests.fakes.problems import battery_data, class_data, problem, response_data, site_data, steady


def parameters(data):
    p = Parameters.of(shape_of(data))
    set_values(p, data, shape_of(data))
    return p


def test_every_parameter_of_an_optional_term_is_set():
    data = steady(
        classes=(class_data("batch", 10.0, defer_steps=1, survives_loss=True),),
        battery=battery_data(),
        response=response_data(),
    )
    p = parameters(data)
    for group in (p.assets, p.response, p.deferral, p.spare):
        for each in fields(group):
            value = getattr(group, each.name).value
            assert np.all(np.isfinite(value)), each.name


def test_a_site_without_assets_has_zeros():
    p = parameters(problem(sites=(site_data("bare"), site_data("rich", battery=battery_data(), pv_w=(5.0,) * 3))))
    assert p.assets.pv_w.value.tolist() == [[0.0] * 3, [5.0] * 3]
    assert p.assets.charge_share.value.ravel().tolist() == pytest.approx([0.0, 1e-3])
    assert p.assets.capacity_wh.value[0].tolist() == [0.0] * 4


def test_a_reward_counts_during_events_only():
    p = parameters(steady(response=response_data()))
    assert p.response.price.value.ravel().tolist() == pytest.approx([0.0, 100.0, 0.0])


def test_a_charge_beyond_its_bounds_by_arithmetic_is_within_them():
    p = parameters(steady(battery=battery_data(soc_wh=-1e-7)))
    assert p.assets.now_wh.value.item() == 0.0
