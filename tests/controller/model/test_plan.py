from controller.model.plan import Horizon, Plan, PlanOrigin, SitePlan, Verb


def test_intervals_follow_each_other_from_the_start():
    horizon = Horizon(1000.0, 60.0, 12)
    assert [horizon.start_of(step) for step in (0, 1, 12)] == [1000.0, 1060.0, 1720.0]


def test_names_of_origins_and_verbs_are_what_records_and_metrics_carry():
    assert [str(origin) for origin in PlanOrigin] == ["milp", "dispatch", "last_plan", "greedy"]
    assert [str(verb) for verb in Verb] == ["wake", "sleep", "start", "stop"]


def test_a_plan_tells_what_all_sites_take_and_draw_together():
    limit_w = (None, None)
    sites = (
        SitePlan("a", (10.0, 20.0), limit_w, (8.0, 20.0), pv_w=(2.0, 0.0)),
        SitePlan("b", (1.0, 2.0), limit_w, (1.0, 2.0)),
    )
    plan = Plan(Horizon(0.0, 60.0, 2), PlanOrigin.MILP, sites, (), 0.0)
    assert (plan.power_w, plan.import_w) == ((11.0, 22.0), (9.0, 22.0))
    assert not plan.is_limited(0)
