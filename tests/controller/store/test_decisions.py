import json

import pytest

from controller.errors import StoreError
from controller.model.grid import GridEvent
from controller.model.observation import Missing, Observation
from controller.store.decisions import ages_s, from_plain, observation_of, record_of, to_plain
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
def test_a_replay_reads_the_same_observation_back(seen):
    made = decision(site())
    payload = record_of(seen, {"plan": made.plan, "diagnostics": made.diagnostics}, ("table 7 put up",))
    read = json.loads(json.dumps(payload))
    assert observation_of(read) == seen
    assert read["actions"] == ["table 7 put up"]
    assert read["diagnostics"]["plan_origin"] == "milp"
    assert read["diagnostics"]["classes"][0]["class_id"] == "standard"


def test_ages_of_the_signals():
    assert ages_s(observation(site_power=GONE)) == {"site_power": None, "router": 0.0, "price": 0.0, "carbon": 0.0}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"observation": []},
        {"observation": {"now_s": 1.0}},
        {"observation": {**to_plain(observation()), "now_s": "soon"}},
        {"observation": {**to_plain(observation()), "router": {"who": 1}}},
        {"observation": {**to_plain(observation()), "router": 3}},
        {"observation": {**to_plain(observation()), "surplus": 3}},
    ],
)
def test_a_record_that_cannot_be_read_back_is_told(payload):
    with pytest.raises(StoreError, match="no observation that can be read back"):
        observation_of(payload)


def test_whole_numbers_stand_for_floats():
    plain = to_plain(observation())
    assert from_plain(Observation, {**plain, "now_s": int(NOW_S)}) == observation()
