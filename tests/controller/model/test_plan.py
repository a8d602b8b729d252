from controller.model.plan import Horizon, PlanOrigin, Verb


def test_intervals_follow_each_other_from_the_start():
    horizon = Horizon(1000.0, 60.0, 12)
    assert [horizon.start_of(step) for step in (0, 1, 12)] == [1000.0, 1060.0, 1720.0]


def test_names_of_origins_and_verbs_are_what_records_and_metrics_carry():
    assert [str(origin) for origin in PlanOrigin] == ["milp", "dispatch", "last_plan", "greedy"]
    assert [str(verb) for verb in Verb] == ["wake", "sleep", "start", "stop"]
