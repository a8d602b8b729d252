"""What holds of every plan, on small random fleets."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.optimizer.dispatch import first_interval
from controller.optimizer.greedy import greedy, shifted
from controller.optimizer.outcome import energy_kwh
from controller.optimizer.solving import SolverOptions
from tests.fakes.problems import STEPS, at_site, class_data, pool_data, problem

EXACT = CvxpyPlanner(lambda: 0.0, SolverOptions(gap_frac=0.0))
QUICK = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def problems(draw: st.DrawFn) -> ProblemData:
    """Two pools and one or two classes, with or without a limit that may be out of reach."""
    pools = []
    for name in ("full", "lean"):
        instances = draw(st.integers(1, 3))
        on = draw(st.integers(0, instances))
        pools.append(
            pool_data(
                name,
                instances=instances,
                on_now=on,
                sleeping_now=draw(st.integers(0, instances - on)),
                max_on=instances,
                p0_w=draw(st.sampled_from([600.0, 1000.0, 2000.0])),
                quality_loss_frac=0.0 if name == "full" else draw(st.sampled_from([0.0, 0.005, 0.02])),
                min_up_steps=draw(st.integers(1, 2)),
            )
        )
    classes = [class_data("a", draw(st.sampled_from([10.0, 700.0, 2500.0])))]
    if draw(st.booleans()):
        classes.append(class_data("b", draw(st.sampled_from([50.0, 900.0])), serve_usd_per_token=3e-3))
    limit = draw(st.sampled_from([None, 1500.0, 3500.0, 6000.0]))
    edge = draw(st.integers(0, STEPS - 1))
    return problem(
        pools=tuple(pools),
        classes=tuple(classes),
        allowed=tuple((True, draw(st.booleans())) for _ in classes),
        busy_s_per_token=((1e-3, 8e-4),) * len(classes),
        j_per_token=((0.3, 0.2),) * len(classes),
        limit_w=tuple(limit if t >= edge else None for t in range(STEPS)),
        may_stop=draw(st.booleans()),
    )


@QUICK
@given(problems())
def test_no_plan_breaks_a_rule_whoever_makes_it(data: ProblemData) -> None:
    plan = EXACT.plan(data, time_limit_s=5.0)
    assert violations(plan, data) == ()
    assert violations(greedy(data), data) == ()
    serving = tuple(pool.on[0] for pool in plan.pools)
    assert violations(EXACT.dispatch(data, serving), first_interval(data, serving)) == ()
    still = replace(data, pools=tuple(replace(p, min_up_steps=1) for p in data.pools), may_stop=True)
    assert violations(shifted(still, plan, 0), still) == ()


@QUICK
@given(problems(), st.sampled_from([1.5, 4.0, 20.0]))
def test_a_higher_price_never_buys_more_energy(data: ProblemData, factor: float) -> None:
    free = replace(data, pools=tuple(replace(pool, start_usd=0.0) for pool in data.pools))
    calm = at_site(free, limit_w=(None,) * STEPS)
    dear = at_site(calm, price_usd_per_mwh=tuple(price * factor for price in calm.sites[0].price_usd_per_mwh))
    cheap_kwh, dear_kwh = (energy_kwh(EXACT.plan(each, time_limit_s=5.0)) for each in (calm, dear))
    assert dear_kwh <= cheap_kwh * (1 + 1e-4)


@QUICK
@given(problems(), st.floats(0.5, 0.95))
def test_a_tighter_limit_never_costs_less(data: ProblemData, share: float) -> None:
    # A stop saves within the horizon and pays after it: the bill of the horizon alone would not tell.
    [site] = data.sites
    limits_w = tuple(6000.0 if limit is None else limit for limit in site.limit_w)
    limited = at_site(replace(data, may_stop=False), limit_w=limits_w)
    tighter = at_site(limited, limit_w=tuple(share * limit for limit in limits_w))
    loose, tight = EXACT.plan(limited, time_limit_s=5.0), EXACT.plan(tighter, time_limit_s=5.0)
    if not loose.slack and not tight.slack:
        assert tight.cost_usd >= loose.cost_usd * (1 - 1e-4) - 1e-9
    broken_loose, broken_tight = ({s.promise for s in plan.slack} for plan in (loose, tight))
    if broken_loose & {"serve", "limit"}:
        assert broken_tight & {"serve", "limit"}
