import math
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.background import Works
from controller.lifecycle.diagnostics import Fallback, Foreseen, PoolRefit
from controller.metrics.background import BackgroundMetrics
from controller.metrics.energy import EnergyMetrics
from controller.metrics.telemetry import Telemetry
from controller.model.grid import Precedence
from controller.model.observation import Missing, PowerConflict, PowerLadder, PowerSourceState, Rung
from controller.model.plan import Slack, Verb
from controller.optimizer.check import PROMISES
from router.contract import EventState, PoolId
from tests.fakes.controller_parts import NOW_S, decision, diagnostics, event_diagnostics, observation, site
from tests.fakes.shown_metrics import shown

SITE = site()


def values(telemetry: Telemetry) -> dict[tuple, float]:
    return shown(telemetry.registry)


def decided(**changes):
    return decision(SITE, diagnostics=diagnostics(**changes))


def test_all_names_carry_the_prefix():
    for family in text_string_to_metric_families(Telemetry(SITE).exposition().decode()):
        assert family.name.startswith("wattroute_controller_")


def test_what_was_measured():
    telemetry = Telemetry(SITE)
    telemetry.take_observation(observation(), 5000.0)
    telemetry.take_observation(observation(), 8000.0)
    seen = values(telemetry)
    assert seen["power_watts",] == 4000
    assert seen["energy_joules_total",] == 8000
    assert seen["price_usd_per_mwh",] == 42
    assert seen["carbon_kg_per_mwh",] == 310
    assert seen["acknowledged_sequence",] == 7
    assert seen["instances", "bf16", "serving"] == 2
    assert seen["instances", "int4", "sleeping"] == 1
    assert seen["instances", "int4", "serving"] == 0
    assert seen["reading_age_seconds", "site_power"] == 0


def test_missing_is_not_zero():
    telemetry = Telemetry(SITE)
    gone = Missing("x", "gone", NOW_S)
    telemetry.take_observation(observation(site_power=gone, router=gone, price_usd_per_mwh=gone), 0.0)
    seen = values(telemetry)
    for name in (
        ("power_watts",),
        ("price_usd_per_mwh",),
        ("acknowledged_sequence",),
        ("reading_age_seconds", "router"),
    ):
        assert math.isnan(seen[name])


def test_what_was_decided():
    telemetry = Telemetry(SITE)
    event = event_diagnostics(over_limit=True)
    slack = (
        Slack("limit", "site", 200.0, "W"),
        Slack("serve", "standard", 5.0, "tokens/s"),
        Slack("odd", "x", 1.0, "y"),
    )
    telemetry.take_decision(decided(event=event, limit_w=3000.0, effective_limit_w=2900.0, slack=slack), took_s=0.2)
    seen = values(telemetry)
    assert seen["tick_seconds_count",] == 1
    assert seen["tick_seconds_sum",] == pytest.approx(0.2)
    assert seen["solver_seconds_sum", "slow"] == pytest.approx(0.12)
    assert seen["solver_seconds_sum", "fast"] == pytest.approx(0.004)
    assert (seen["limit_watts",], seen["effective_limit_watts",], seen["predicted_power_watts",]) == (3000, 2900, 4100)
    assert (seen["event_state", "active"], seen["event_state", "pending"], seen["event_over_limit",]) == (1, 0, 1)
    assert seen["event_delivered_watts",] == 200
    assert (seen["plan_on_instances", "bf16"], seen["plan_on_instances", "int4"]) == (2, 1)
    assert seen["demand_tokens_per_second", "standard"] == 900
    assert seen["quality_burnt_frac", "standard"] == 0.002
    assert math.isnan(seen["quality_left_frac", "standard"])
    assert (seen["slack", "limit"], seen["slack", "serve"], seen["slack", "quality"]) == (200, 5, 0)
    assert seen["slack", "other"] == 1
    assert seen["plan_origin", "milp"] == 1
    assert seen["table_sequence",] == 7


def test_the_declared_order_is_shown():
    seen = values(Telemetry(SITE, Precedence.QOS))
    assert (seen["precedence", "qos_over_contract"], seen["precedence", "contract_over_qos"]) == (1, 0)


def test_what_yields_now_and_what_will_be_lacking_are_shown():
    telemetry = Telemetry(SITE)
    coming = (Foreseen("serve", "standard", 12.0, "tokens/s", NOW_S + 60.0),)
    told = diagnostics(foreseen=coming, precedence=Precedence.QOS)
    telemetry.take_decision(decision(SITE, diagnostics=told), 0.1)
    seen = values(telemetry)
    assert (seen["precedence", "qos_over_contract"], seen["precedence", "contract_over_qos"]) == (1, 0)
    assert (seen["foreseen_slack", "serve"], seen["foreseen_slack", "limit"]) == (12, 0)


def test_the_budget_of_quality_that_is_left():
    telemetry = Telemetry(SITE)
    told = diagnostics()
    overdrawn = tuple(replace(item, quality_left_frac=-0.25) for item in told.classes)
    telemetry.take_decision(decision(SITE, diagnostics=replace(told, classes=overdrawn)), 0.1)
    assert values(telemetry)["quality_left_frac", "standard"] == -0.25


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_that_a_plan_may_break_has_its_own_series(promise):
    telemetry = Telemetry(SITE)
    telemetry.take_decision(decided(slack=(Slack(promise, "x", 3.0, "y"),)), 0.1)
    seen = values(telemetry)
    assert {key[1]: value for key, value in seen.items() if key[0] == "slack"} == {
        **dict.fromkeys((*PROMISES, "other"), 0.0),
        promise: 3.0,
    }


def test_the_end_of_an_event():
    telemetry = Telemetry(SITE)
    telemetry.take_decision(decided(event=event_diagnostics(state=EventState.ACTIVE), limit_w=3000.0), 0.1)
    telemetry.take_decision(decided(), 0.1)
    seen = values(telemetry)
    assert seen["event_state", "active"] == 0
    assert math.isnan(seen["limit_watts",])
    assert math.isnan(seen["event_delivered_watts",])


def test_a_tick_without_a_solve_adds_no_solver_time():
    telemetry = Telemetry(SITE)
    telemetry.take_decision(decided(slow_solve_s=None, fast_solve_s=None), 0.1)
    assert values(telemetry)["solver_seconds_count", "slow"] == 0


def test_labels_are_bounded():
    telemetry = Telemetry(SITE)
    for n in range(100):
        telemetry.take_decision(decided(fallbacks=(Fallback(f"ladder-{n}", f"step-{n}", "a test"),)), 0.1)
        telemetry.take_fault(f"fault-{n}")
    seen = values(telemetry)
    assert seen["faults_total", "other"] == 100
    assert seen["fallbacks_total", "other", "other"] == 100 - 32
    assert len([key for key in seen if key[0] == "fallbacks_total"]) == 33


def test_commands_and_faults_are_counted_from_zero():
    telemetry = Telemetry(SITE)
    assert values(telemetry)["actuations_total", "failed", "wake"] == 0
    telemetry.take_outcome(Verb.WAKE, is_done=False)
    telemetry.take_outcome(Verb.WAKE, is_done=True)
    telemetry.take_fault("publish")
    seen = values(telemetry)
    assert (seen["actuations_total", "failed", "wake"], seen["actuations_total", "done", "wake"]) == (1, 1)
    assert seen["faults_total", "publish"] == 1


@pytest.mark.parametrize(
    ("unkept", "kept"), [((), (1, 1)), (("first_token",), (1, 0)), (("inter_token", "first_token"), (0, 0))]
)
def test_latency_targets_that_no_pool_keeps(unkept, kept):
    telemetry = Telemetry(SITE)
    told = diagnostics()
    classes = tuple(replace(item, unkept=unkept) for item in told.classes)
    telemetry.take_decision(decision(SITE, diagnostics=replace(told, classes=classes)), 0.1)
    seen = values(telemetry)
    names = ("inter_token", "first_token")
    assert tuple(seen[("latency_kept", *sorted((name, "standard")))] for name in names) == kept


def test_a_class_that_no_pool_may_serve_keeps_no_target():
    telemetry = Telemetry(SITE)
    told = diagnostics()
    classes = tuple(replace(item, unkept=("pool",)) for item in told.classes)
    telemetry.take_decision(decision(SITE, diagnostics=replace(told, classes=classes)), 0.1)
    seen = values(telemetry)
    assert (seen["latency_kept", "inter_token", "standard"], seen["latency_kept", "first_token", "standard"]) == (0, 0)


def test_instances_that_sleep_by_command_and_those_given_back():
    telemetry = Telemetry(SITE)
    telemetry.take_sleepers(3)
    telemetry.take_given_back(2)
    seen = values(telemetry)
    assert (seen["sleepers",], seen["given_back_total",]) == (3, 2)


@pytest.mark.parametrize(
    "ladder",
    [
        "plan",
        "dispatch",
        "power",
        "ramp",
        "demand",
        "price",
        "carbon",
        "quality",
        "latency",
        "curves",
        "table",
        "instances",
    ],
)
def test_every_ladder_has_its_own_series(ladder):
    telemetry = Telemetry(SITE)
    telemetry.take_decision(decided(fallbacks=(Fallback(ladder, "lower", "a test"),)), 0.1)
    assert values(telemetry)["fallbacks_total", *sorted((ladder, "lower"))] == 1


def test_what_the_refit_says_is_told_with_the_decision():
    refit = PoolRefit(PoolId("bf16"), (), 40, 2, 1, 0.01, ())
    telemetry = Telemetry(SITE)
    telemetry.take_decision(decided(refits=(refit,)), took_s=0.1)
    assert values(telemetry)["refit_observations", "bf16", "taken"] == 40


def test_the_reference_lists_every_metric_and_no_other():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "controller.md").read_text()
    section = page.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = {name.removesuffix("_total") for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    registry = Telemetry(SITE).registry
    EnergyMetrics(registry)
    BackgroundMetrics(registry, Works(Random(0)))
    names = {family.name.removeprefix("wattroute_controller_") for family in registry.collect()}
    assert names <= listed
    root = Path(__file__).parents[3] / "controller"
    defined = "\n".join(path.read_text() for path in root.rglob("*.py"))
    assert {name for name in listed - names if f'{name}"' not in defined} == set(), "listed, and defined nowhere"


def test_where_power_is_known_from():
    telemetry = Telemetry(SITE)
    conflict = PowerConflict("GPU-a", "nvml", 500.0, "dcgm", 400.0, NOW_S)
    sources = (
        PowerSourceState("agent", Rung.NVML, 5, 1.5, None),
        PowerSourceState("meter", Rung.METER, 0, None, "cannot connect"),
    )
    ladder = PowerLadder(Rung.NVML, Rung.METER, "meter is lost", (conflict,), sources)
    telemetry.take_observation(observation(power_ladder=ladder), 0.0)
    telemetry.take_decision(decided(power_rung=Rung.NVML, margin_frac=0.05), 0.1)
    seen = values(telemetry)
    assert [seen["power_rung", rung.value] for rung in Rung] == [0, 1, 0, 0]
    assert (seen["power_margin_frac",], seen["power_conflicts",]) == (0.05, 1)
    assert (seen["power_source_gpus", "agent"], seen["power_source_age_seconds", "agent"]) == (5, 1.5)
    assert seen["power_source_gpus", "meter"] == 0
    assert math.isnan(seen["power_source_age_seconds", "meter"])


def test_how_many_instances_are_to_exist_is_told_once_there_is_a_plan():
    telemetry = Telemetry(SITE)
    telemetry.take_replicas(decided())
    assert not any(key[0] == "desired_replicas" for key in values(telemetry))
    replicas = tuple((pool.pool_id, 2 + n) for n, pool in enumerate(SITE.pools))
    telemetry.take_replicas(decision(SITE, replicas=replicas))
    seen = values(telemetry)
    assert [seen["desired_replicas", pool.pool_id] for pool in SITE.pools] == [2 + n for n in range(len(SITE.pools))]
