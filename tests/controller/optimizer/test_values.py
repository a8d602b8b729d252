from dataclasses import fields

import pytest

from controller.optimizer.milp import compile_milp
from controller.optimizer.outcome import power_w
from controller.optimizer.parameters import Parameters
from controller.optimizer.solving import program_of
from controller.optimizer.values import energy_bill, most_power_w, set_values, shape_of
from tests.fakes.problems import class_data, pool_data, problem, response_data


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
        if given is not None:
            assert all(one.value is not None for one in (given if isinstance(given, tuple) else (given,))), each.name


def test_a_plain_problem_has_the_plain_program():
    shape = shape_of(problem())
    assert (shape.with_assets, shape.with_response, shape.with_ramp, shape.with_drop) == (False,) * 4
    assert (shape.with_deferral, shape.with_spare, shape.windows) == (False, False, ())
    compiled = compile_milp(shape)
    set_values(compiled.parameters, problem(), shape)
    program = program_of(compiled)
    # 13 arrays of variables over three intervals: 8 by pool, tokens by pair, 3 by site, 2 by class.
    assert len(program.cost) == 3 * (7 * 2 + 2 + 3 * 1 + 2 * 1)


def test_the_shape_tells_what_the_problem_has():
    classes = (class_data("a", 1.0, defer_steps=1), class_data("b", 1.0, survives_loss=True, quality_window=True))
    matrices = {
        "allowed": ((True, True),) * 2,
        "busy_s_per_token": ((1e-3, 1e-3),) * 2,
        "j_per_token": ((0.3, 0.2),) * 2,
    }
    shape = shape_of(
        problem(
            classes=classes,
            **matrices,
            pv_w=(1.0,) * 3,
            response=response_data(),
            ramp_down_w=10.0,
        )
    )
    assert (shape.with_assets, shape.with_response, shape.with_ramp, shape.with_drop) == (True,) * 4
    assert (shape.with_deferral, shape.with_spare, shape.windows) == (True, True, (1,))


def test_the_shape_does_not_depend_on_whether_the_power_before_is_known():
    assert shape_of(problem(ramp_w=10.0)) == shape_of(problem(ramp_w=10.0, drawn_before_w=900.0))


def test_a_request_moved_to_another_site_has_its_price():
    data = problem(move_usd_per_token=((0.0, 2e-6),))
    p = Parameters.of(shape_of(data))
    set_values(p, data, shape_of(data))
    assert p.token_price.value.ravel().tolist() == pytest.approx([0.0, 2e-6 * 60 * 1e6])


def test_no_limit_is_a_power_that_cannot_be_reached():
    data = problem()
    everything = power_w(data, ((3,) * 3,) * 2, ((0,) * 3,) * 2, (((800.0,) * 3, (0.0,) * 3),))
    assert most_power_w(data, 0) > max(everything[0])


def test_the_bill_is_positive_even_when_energy_is_free_or_pays():
    assert energy_bill(problem(price_usd_per_mwh=(0.0,) * 3)) > 0
    assert energy_bill(problem(price_usd_per_mwh=(-50.0,) * 3)) == pytest.approx(energy_bill(problem()))


def test_the_bill_knows_that_pools_share_gpus():
    """Where pools could each fill a site, GPUs of no instance are told as a negative power of none."""
    pools = (pool_data("full", instances=9, off_w=300.0), pool_data("lean", instances=9, off_w=300.0))
    shared = problem(pools=pools, spare_w=-2700.0)
    # 2,700 W and 800 tokens/s of 0.2 J and 1 ms of 700 W at 0.9: 1.2 · 3,482.2 W + 300 W, three minutes, 50 USD/MWh.
    assert energy_bill(shared) == pytest.approx(1e6 * (1.2 * (2700.0 + 160.0 + 800 * 0.7 / 0.9) + 300.0) * 5e-5 * 0.05)


def test_the_bill_does_not_depend_on_what_is_on():
    some = problem(pools=(pool_data("full", on_now=0), pool_data("lean", on_now=3, sleeping_now=0)))
    assert energy_bill(some) == energy_bill(problem(pools=(pool_data("full"), pool_data("lean"))))
