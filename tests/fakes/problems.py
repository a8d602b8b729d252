"""Small planning problems for tests."""

from __future__ import annotations

from dataclasses import fields, replace

from controller.model.plan import Horizon, Plan
from controller.optimizer.data import BatteryData, ClassData, PoolData, ProblemData, ResponseData, SiteData
from router.contract import ClassId, PoolId

STEPS = 3


def pool_data(name: str, **changes: object) -> PoolData:
    """A pool of three instances, two of them asleep; an instance decodes 1,000 tokens/s."""
    pool = PoolData(
        pool_id=PoolId(name),
        instances=3,
        on_now=1,
        sleeping_now=2,
        min_on=0,
        max_on=3,
        locked=(0,) * STEPS,
        late=(0.0,) * STEPS,
        gpus_per_instance=2,
        p0_w=1000.0,
        sleeping_w=100.0,
        off_w=50.0,
        quality_loss_frac=0.0,
        wake_s=6.0,
        start_s=90.0,
        start_usd=1e-4,
        min_up_steps=1,
    )
    return replace(pool, **changes)  # type: ignore[arg-type]


def class_data(name: str, tokens_per_s: float, **changes: object) -> ClassData:
    """A class of constant demand."""
    cls = ClassData(
        class_id=ClassId(name),
        demand_tokens_per_s=(tokens_per_s,) * STEPS,
        quality_budget_frac=(0.01,) * STEPS,
        quality_usd_per_mtoken=0.0,
        serve_usd_per_token=1e-3,
    )
    return replace(cls, **changes)  # type: ignore[arg-type]


def site_data(name: str = "site", **changes: object) -> SiteData:
    """A site of 18 GPUs without a limit."""
    site = SiteData(
        site_id=name,
        gpus=18,
        pue=1.2,
        spare_w=40.0,
        aux_w=300.0,
        bias_w=0.0,
        limit_w=(None,) * STEPS,
        price_usd_per_mwh=(50.0,) * STEPS,
        carbon_kg_per_mwh=(400.0,) * STEPS,
    )
    return replace(site, **changes)  # type: ignore[arg-type]


def battery_data(**changes: object) -> BatteryData:
    """An empty battery of 1 kWh that charges at 1 kW and discharges at 500 W, without losses or wear."""
    battery = BatteryData(
        capacity_wh=1000.0,
        soc_wh=0.0,
        min_wh=0.0,
        charge_w=1000.0,
        discharge_w=500.0,
        charge_frac=1.0,
        discharge_frac=1.0,
        wear_usd_per_mwh=0.0,
        final_wh=0.0,
    )
    return replace(battery, **changes)  # type: ignore[arg-type]


def response_data(**changes: object) -> ResponseData:
    """A programme that pays up to 300 W below 1,500 W in the second interval."""
    response = ResponseData(baseline_w=(1500.0,) * STEPS, reward_usd_per_mwh=(100.0,) * STEPS, most_w=(0.0, 300.0, 0.0))
    return replace(response, **changes)  # type: ignore[arg-type]


def steady(**changes: object) -> ProblemData:
    """One instance that stays on, three intervals of an hour, no demand: the site takes 1,548 W.

    1.2 · (1,000 W of P0 + 40 W spare) + 300 W, and 0.36 W for each token/s.
    """
    fixed = {
        "horizon": Horizon(0.0, 3600.0, STEPS),
        "pools": (pool_data("full", instances=1, sleeping_now=0, min_on=1, max_on=1),),
        "classes": (class_data("standard", 0.0),),
        "allowed": ((True,),),
        "busy_s_per_token": ((1e-3,),),
        "j_per_token": ((0.3,),),
    }
    return problem(**{**fixed, **changes})


SITE_FIELDS = {each.name for each in fields(SiteData)}


def problem(**changes: object) -> ProblemData:
    """Two pools, a lossless hungry one and a lossy frugal one, and one class; one site, three intervals of a minute.

    Args:
        changes: of the problem, or of its site.
    """
    at_site = {name: changes.pop(name) for name in list(changes) if name in SITE_FIELDS}
    data = ProblemData(
        horizon=Horizon(0.0, 60.0, STEPS),
        sites=(site_data(**at_site),),
        pools=(
            pool_data("full", p0_w=2000.0, gpus_per_instance=4),
            pool_data("lean", quality_loss_frac=0.02),
        ),
        classes=(class_data("standard", 800.0),),
        allowed=((True, True),),
        busy_s_per_token=((1e-3, 1e-3),),
        j_per_token=((0.3, 0.2),),
        utilisation_frac=0.9,
        carbon_usd_per_kg=0.0,
        limit_usd_per_j=0.02,
        quality_usd_per_token=0.01,
    )
    return replace(data, **changes)  # type: ignore[arg-type]


def at_site(data: ProblemData, **changes: object) -> ProblemData:
    """The problem with changes of its only site."""
    [site] = data.sites
    return replace(data, sites=(replace(site, **changes),))  # type: ignore[arg-type]


def saying(plan: Plan, **changes: object) -> Plan:
    """The plan with changes of what it says of its only site."""
    [site] = plan.sites
    return replace(plan, sites=(replace(site, **changes),))  # type: ignore[arg-type]
