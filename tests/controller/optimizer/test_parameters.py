from dataclasses import fields, replace

import pytest

from controller.errors import SolverError
from controller.optimizer.parameters import Parameters, put
from controller.optimizer.variables import Shape

SHAPE = Shape(sites=2, classes=2, steps=4, pairs=((0, 0), (0, 2), (1, 1)), site_of_pool=(0, 0, 1), lags=2)


def test_lagged_parameters_have_one_entry_a_lag():
    assert len(Parameters.of(SHAPE).eta_start) == 2


@pytest.mark.parametrize(
    ("flag", "group"),
    [
        ("with_assets", "assets"),
        ("with_response", "response"),
        ("with_deferral", "deferral"),
        ("with_spare", "spare"),
        ("with_drop", "drop_w"),
    ],
)
def test_a_group_is_there_where_the_shape_has_use_for_it(flag, group):
    assert getattr(Parameters.of(SHAPE), group) is None
    assert getattr(Parameters.of(replace(SHAPE, **{flag: True})), group) is not None


def test_what_does_not_change_over_the_horizon_is_a_column():
    p = Parameters.of(replace(SHAPE, with_assets=True))
    assert p.busy_s.shape == (3, 1)
    assert {each.name for each in fields(p.assets) if getattr(p.assets, each.name).shape == (2, 1)} == {
        *("charge_share", "discharge_share", "stored_wh", "taken_wh", "now_wh", "final_wh")
    }


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_a_number_that_cannot_be_is_a_solver_error(value):
    with pytest.raises(SolverError, match="the next rung"):
        put(Parameters.of(SHAPE).utilisation, value)
