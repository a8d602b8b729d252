from controller.model.plan import Horizon, Plan, PlanOrigin, SitePlan
from controller.openadr.plan_forecast import planned_draw
from controller.openadr.report_inputs import Expected


def drawn(name, *import_w):
    """A site that draws so much from the grid, and takes more than that."""
    steps = len(import_w)
    return SitePlan(name, (9e3,) * steps, (None,) * steps, import_w)


def test_each_step_of_the_plan_is_expected_where_it_is():
    plan = Plan(Horizon(100.0, 60.0, 2), PlanOrigin.MILP, (drawn("a", 5e3, 6e3), drawn("b", 1e3, 0.0)), (), 0.0)
    assert planned_draw(plan) == (Expected(100.0, 160.0, 6e3), Expected(160.0, 220.0, 6e3))


def test_without_a_plan_nothing_is_expected():
    assert planned_draw(None) == ()
