import dataclasses

from controller.dashboard.leadership_json import election_json, election_steps
from controller.loop.leadership import LeadershipStatus, Role

LEADER = LeadershipStatus(Role.LEADER, "a_1", "a_1", "http://a:8090", has_standby=True)
STANDBY = LeadershipStatus(Role.STANDBY, "b_1", "a_1", "http://a:8090")


def reasons(status):
    return {step["step"]: step["reason"] for step in election_steps(status)}


def test_a_leader_with_a_standby_is_on_the_top_rung():
    assert election_steps(LEADER) == []
    assert election_json(LEADER) == {
        "role": "leader",
        "identity": "a_1",
        "leader": "a_1",
        "leader_address": "http://a:8090",
        "has_standby": True,
        "failure": None,
    }


def test_a_standby_says_who_leads_and_that_nothing_is_done_here():
    told = reasons(STANDBY)["standby"]
    assert told.startswith("the leader is a_1 at http://a:8090;")
    assert "planned, not done" in told
    assert reasons(dataclasses.replace(STANDBY, leader=None, address=None))["standby"].startswith("nobody is known")


def test_a_leader_that_nobody_could_replace_and_a_lease_that_cannot_be_had_are_steps_down():
    assert list(reasons(dataclasses.replace(LEADER, has_standby=False))) == ["no_standby"]
    assert reasons(dataclasses.replace(LEADER, has_standby=None)) == {}
    assert reasons(dataclasses.replace(LEADER, failure="lease: no answer")) == {"failing": "lease: no answer"}
