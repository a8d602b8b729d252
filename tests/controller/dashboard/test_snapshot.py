import json

import pytest

from controller.dashboard.rates import Window
from controller.dashboard.snapshot import Derived, SolverFigures, build
from controller.lifecycle.diagnostics import Fallback
from controller.loop.faults import Fault
from controller.loop.status import Status
from controller.model.mode import Mode
from controller.model.observation import (
    InstanceState,
    Missing,
    PowerConflict,
    PowerLadder,
    PowerSourceState,
    Quality,
    Rung,
)
from controller.model.plan import InstanceCommand, Slack, Verb
from controller.signals.latency import Latency
from router.contract import InstanceId
from tests.fakes.controller_parts import (
    NOW_S,
    decision,
    diagnostics,
    event_diagnostics,
    instance,
    observation,
    reading,
    site,
)
from tests.fakes.pool_modes import with_modes

SITE = site()
DERIVED = Derived(
    Window({"bf16": 90.0, "int4": 10.0}, {"bf16": 0.9, "int4": 0.1}, 40.0),
    Latency(0.1, 0.4, 0.02, 0.05),
    SolverFigures(120.0, 4.0, 2),
    18000.0,
    2.0,
)


def snapshot(seen=None, *, faults=(), decided=True, **diagnosed):
    made = decision(SITE, diagnostics=diagnostics(**diagnosed)) if decided else None
    built = build(SITE, Status(seen or observation(), made, faults, 7200.0), DERIVED, "act", 15.0)
    json.dumps(built, allow_nan=False)
    return built


def test_the_whole_of_it():
    told = snapshot(limit_w=3000.0, event=event_diagnostics())
    assert told["emulated"] is True
    assert (told["site"], told["mode"], told["now_s"], told["sequence"]) == ("site", "act", NOW_S, 7)
    assert told["power"] == {
        "measured_w": 4000.0,
        "predicted_w": 4100.0,
        "modelled_w": 3950.0,
        "limit_w": 3000.0,
        "baseline_w": 4200.0,
        "source": "a test",
        "quality": "emulated",
        "age_s": 0.0,
        "missing": None,
        "rung": "meter",
        "margin_frac": 0.0,
        "sources": [],
        "conflicts": [],
    }
    assert told["event"]["state"] == "active"
    assert told["event"]["delivered_w"] == 200.0
    assert (told["price_usd_per_mwh"], told["carbon_kg_per_mwh"]) == (42.0, 310.0)
    assert told["latency"]["itl_p99_s"] == 0.05
    assert told["tokens"] == {"served": 18000.0, "refused": 2.0}
    assert (told["j_per_output_token"], told["energy_j"]) == (40.0, 7200.0)
    assert told["solver"] == {"slow_ms": 120.0, "fast_ms": 4.0, "origin": "milp", "fallbacks": 2}


def test_pools_with_their_instances_and_evidence():
    bf16, int4 = snapshot(draining=(InstanceId("bf16-1"),))["pools"]
    assert (bf16["on"], bf16["draining"], bf16["target_on"], bf16["power_w"]) == (1, 1, 2, 2400.0)
    assert [i["state"] for i in bf16["instances"]] == ["serving", "draining"]
    assert (int4["sleeping"], int4["share_frac"], int4["output_tokens_per_s"]) == (1, 0.1, 10.0)
    assert (bf16["evidence"], int4["evidence"]) == ("measured", "estimated")


def test_a_pool_with_an_unread_gpu_has_no_power():
    gone = Missing("x", "gone", NOW_S)
    seen = observation(gpu_power=(("GPU-bf16-0-0", reading(1.0, quality=Quality.DIRECT)), ("GPU-bf16-0-1", gone)))
    told = snapshot(seen)
    assert told["pools"][0]["power_w"] is None
    assert told["emulated"] is False


def test_power_that_is_too_old_is_none():
    watts = [
        snapshot(
            observation(
                gpu_power=tuple(
                    (f"GPU-bf16-{n}-{k}", reading(1.0, at_s=NOW_S - age_s)) for n in range(2) for k in range(2)
                )
            )
        )["pools"][0]["power_w"]
        for age_s in (14.0, 16.0)
    ]
    assert watts == [4.0, None]


def test_a_pool_that_is_not_heard_has_no_rate_of_tokens():
    lost = tuple(instance(f"bf16-{n}", state=InstanceState.UNREACHABLE) for n in range(2))
    bf16, int4 = snapshot(observation(instances=(*lost, instance("int4-0"))))["pools"]
    assert (bf16["output_tokens_per_s"], int4["output_tokens_per_s"]) == (None, 10.0)


def test_classes_with_their_normalised_weights_and_budget():
    (standard,) = snapshot()["classes"]
    assert standard["weights"] == {"bf16": 0.75, "int4": 0.25}
    assert (standard["in_flight"], standard["queued"], standard["demand_tokens_per_s"]) == (8, 1, 900.0)
    assert standard["quality_burn_frac"] == pytest.approx(0.2)


def test_every_step_down_is_on_the_ladder_the_loops_own_first():
    told = snapshot(
        faults=(Fault("record", "the disk is full", NOW_S),),
        fallbacks=(Fallback("price", "default", "no feed"), Fallback("quality", "barred", "by operator", "fp8")),
        holding="no router answers",
        slack=(Slack("limit", "site", 200.0, "W"),),
    )
    assert told["ladder"] == [
        {"ladder": "loop", "step": "record", "reason": "the disk is full", "subject": ""},
        {"ladder": "price", "step": "default", "reason": "no feed", "subject": ""},
        {"ladder": "quality", "step": "barred", "reason": "by operator", "subject": "fp8"},
        {"ladder": "instances", "step": "hold", "reason": "no router answers", "subject": ""},
    ]
    assert told["slack"] == [{"promise": "limit", "subject": "site", "amount": 200.0, "unit": "W"}]


def test_what_is_not_known_is_null():
    gone = Missing("dcgm", "2 of 6 GPUs", NOW_S)
    seen = observation(site_power=gone, router=gone, price_usd_per_mwh=gone, carbon_kg_per_mwh=gone)
    told = snapshot(seen, decided=False)
    assert (told["power"]["measured_w"], told["power"]["age_s"]) == (None, None)
    assert told["power"]["missing"] == "2 of 6 GPUs"
    assert (told["price_usd_per_mwh"], told["event"], told["sequence"], told["acknowledged_sequence"]) == (None,) * 4
    assert told["classes"][0]["in_flight"] is None
    assert told["classes"][0]["weights"] == {}
    assert told["solver"]["origin"] is None


def test_the_sources_of_power_and_where_they_disagree():
    conflict = PowerConflict("GPU-a", "nvml", 500.0, "dcgm", 400.0, NOW_S - 60)
    state = PowerSourceState("dcgm", Rung.DCGM, 6, 2.5, "http://b: down")
    ladder = PowerLadder(Rung.DCGM, Rung.NVML, "nvml is lost", (conflict,), (state,))
    seen = observation(power_ladder=ladder)
    told = snapshot(seen, power_rung=Rung.DCGM, margin_frac=0.07)["power"]
    assert (told["rung"], told["margin_frac"], told["conflicts"]) == ("dcgm", 0.07, ["GPU-a"])
    assert told["sources"] == [{"name": "dcgm", "rung": "dcgm", "gpus": 6, "age_s": 2.5, "error": "http://b: down"}]


def test_joules_per_output_token_of_each_pool_by_class():
    status = Status(observation(), None, (), 7200.0, {"bf16": {"standard": 4.5}})
    bf16, int4 = build(SITE, status, DERIVED, "act", 15.0)["pools"]
    assert (bf16["j_per_output_token"], int4["j_per_output_token"]) == ({"standard": 4.5}, {})


@pytest.mark.parametrize(
    ("mode", "told"), [("act", ["act", "recommend"]), ("recommend", ["recommend"] * 2), ("observe", ["observe"] * 2)]
)
def test_each_pool_tells_how_far_the_controller_goes_with_it(mode, told):
    step = InstanceCommand(Verb.WAKE, InstanceId("int4-0"), "the plan wants 1 serving")
    made = decision(SITE, recommended=(step,))
    of = with_modes(SITE, int4=Mode.RECOMMEND)
    pools = build(of, Status(observation(), made, (), 7200.0), DERIVED, mode, 15.0)["pools"]
    assert [pool["mode"] for pool in pools] == told
    assert [pool["recommended"] for pool in pools] == [[], ["wake int4-0: the plan wants 1 serving"]]
    undecided = build(of, Status(observation(), None, (), 7200.0), DERIVED, mode, 15.0)["pools"]
    assert [pool["recommended"] for pool in undecided] == [[], []]
