import json

import pytest

from controller.model.grid import GridEvent
from controller.model.observation import Missing, Observation
from controller.store.decisions import ages_s, record_of
from controller.store.plain import from_plain
from tests.fakes.controller_parts import NOW_S, decision, observation, site

EVENT = GridEvent("e1", 9000.0, NOW_S, NOW_S + 60, NOW_S)
GONE = Missing("x", "gone", NOW_S)


@pytest.mark.parametrize(
    "seen",
    [
        observation(events=(EVENT,)),
        observation(site_power=GONE, router=GONE, price_usd_per_mwh=GONE, carbon_kg_per_mwh=GONE),
        observation(instances=(), gpu_power=(("GPU-a", GONE),)),
    ],
)
def test_a_record_holds_the_whole_observation_and_what_was_decided(seen):
    made = decision(site())
    payload = record_of(seen, {"plan": made.plan, "diagnostics": made.diagnostics}, ("table 7 put up",))
    read = json.loads(json.dumps(payload))
    assert from_plain(Observation, read["observation"]) == seen
    assert read["actions"] == ["table 7 put up"]
    assert read["diagnostics"]["plan_origin"] == "milp"
    assert read["diagnostics"]["classes"][0]["class_id"] == "standard"


def test_ages_of_the_signals():
    assert ages_s(observation(site_power=GONE)) == {"site_power": None, "router": 0.0, "price": 0.0, "carbon": 0.0}
