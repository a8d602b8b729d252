"""Strategies that draw small planning problems: with limits, and with every option."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from controller.model.plan import Horizon
from controller.optimizer.data import ClassData, ProblemData, SiteData
from tests.fakes.problems import STEPS, battery_data, class_data, pool_data, problem, response_data, site_data


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
        quality_loss_frac=draw(st.sampled_from([(), ((0.0, 0.02), (0.0, 0.001))[: len(classes)]])),
    )


@st.composite
def rich_problems(draw: st.DrawFn) -> ProblemData:
    """The same with a second site, assets, a programme, classes that may wait or survive a loss, and ramps."""
    data = draw(problems())
    [site] = data.sites
    far = draw(st.booleans())
    sites = [_rich_site(draw, site)]
    if far:
        sites.append(_rich_site(draw, site_data("far", price_usd_per_mwh=draw(st.sampled_from([(20.0,) * 3, PRICES])))))
    classes = tuple(_rich_class(draw, cls) for cls in data.classes)
    return replace(
        data,
        sites=tuple(sites),
        pools=(data.pools[0], replace(data.pools[1], site=int(far))),
        classes=classes,
        move_usd_per_token=draw(st.sampled_from([(), ((0.0, 1e-9),) * len(classes)])),
        moves_anywhen=draw(st.booleans()),
        from_scratch=draw(st.booleans()),
    )


PRICES = (80.0, -20.0, 200.0)


def _rich_site(draw: st.DrawFn, site: SiteData) -> SiteData:
    capacity_wh = draw(st.sampled_from([0.0, 20.0, 500.0]))
    battery = battery_data(
        capacity_wh=capacity_wh,
        soc_wh=capacity_wh * draw(st.sampled_from([0.0, 0.5, 1.0])),
        charge_w=draw(st.sampled_from([0.0, 400.0, 5000.0])),
        charge_frac=draw(st.sampled_from([0.9, 1.0])),
        discharge_frac=draw(st.sampled_from([0.8, 1.0])),
        wear_usd_per_mwh=draw(st.sampled_from([0.0, 30.0])),
        final_wh=draw(st.sampled_from([0.0, 100.0])),
    )
    return replace(
        site,
        price_usd_per_mwh=draw(st.sampled_from([site.price_usd_per_mwh, PRICES])),
        pv_w=draw(st.sampled_from([(), (0.0, 900.0, 5000.0)])),
        battery=draw(st.sampled_from([None, battery])),
        response=draw(st.sampled_from([None, response_data(baseline_w=(2500.0,) * STEPS)])),
        ramp_w=draw(st.sampled_from([None, 1000.0])),
        ramp_down_w=draw(st.sampled_from([None, 500.0])),
    )


def _rich_class(draw: st.DrawFn, cls: ClassData) -> ClassData:
    defer_steps = draw(st.integers(0, 2))
    return replace(
        cls,
        demand_tokens_per_s=tuple(rate * draw(st.sampled_from([0.0, 1.0])) for rate in cls.demand_tokens_per_s),
        defer_steps=defer_steps,
        backlog_tokens_per_s=tuple(draw(st.sampled_from([0.0, 300.0])) for _ in range(defer_steps)),
        survives_loss=draw(st.booleans()),
        quality_window=draw(st.booleans()),
    )


@st.composite
def large_fleets(draw: st.DrawFn) -> ProblemData:
    """Two sites with thousands of GPUs, three precisions and classes, over three hours; GPUs may be scarce."""
    sites, pools = [], []
    for c in range(2):
        limit_w = draw(st.sampled_from([None, None, 7e6, 9e6]))
        sites.append(
            site_data(
                f"site{c}",
                gpus=draw(st.integers(9_000, 12_600)),
                price_usd_per_mwh=tuple(draw(st.floats(20.0, 90.0)) for _ in range(STEPS)),
                limit_w=(None, None, limit_w),
                ramp_w=draw(st.sampled_from([None, 6e5])),
            )
        )
        may_sleep = draw(st.booleans())
        for gpus, p0_w, loss in ((8, 4000.0, 0.0), (4, 2100.0, 0.006), (2, 1100.0, 0.02)):
            pools.append(
                pool_data(
                    f"site{c}-{gpus}gpus",
                    instances=4500,
                    max_on=4500,
                    on_now=300,
                    sleeping_now=0,
                    gpus_per_instance=gpus,
                    p0_w=p0_w,
                    sleeping_w=150.0 * gpus,
                    off_w=75.0 * gpus,
                    quality_loss_frac=loss,
                    site=c,
                    may_sleep=may_sleep,
                )
            )
    most = draw(st.floats(1.2e6, 2.4e6))
    classes = tuple(
        class_data(
            f"class{r}",
            0.0,
            demand_tokens_per_s=tuple(most * draw(st.floats(0.6, 1.0)) for _ in range(STEPS)),
            quality_budget_frac=(budget,) * STEPS,
            survives_loss=draw(st.booleans()),
        )
        for r, budget in enumerate((0.0, 0.004, 0.01))
    )
    return problem(
        horizon=Horizon(0.0, 3600.0, STEPS),
        sites=tuple(sites),
        pools=tuple(pools),
        classes=classes,
        allowed=((True,) * len(pools),) * len(classes),
        busy_s_per_token=((1 / 3700, 1 / 3000, 1 / 2400) * 2,) * len(classes),
        j_per_token=((0.3, 0.15, 0.12) * 2,) * len(classes),
        moves_anywhen=True,
        from_scratch=True,
    )
