import re

import pytest

from controller.actuators.shared_redis import STANDBY_MS
from controller.settings.file import load
from controller.settings.process import STANDBY_S
from tests.fakes.controller_files import MINIMAL, refusal, write

REDIS = f"{MINIMAL}table: {{redis_url: 'redis://127.0.0.1:6379/0'}}\n"


def election(line):
    return f"{REDIS}controller: {{election: {{kind: lease, {line}}}}}\n"


def test_without_it_a_controller_is_alone(tmp_path):
    assert load(write(tmp_path, MINIMAL)).controller.election is None


def test_defaults_take_over_within_fifteen_seconds(tmp_path):
    told = load(write(tmp_path, election(""))).controller.election
    assert (told.name, told.namespace) == ("wattroute-controller", None)
    assert (told.lease_s, told.renew_deadline_s, told.renew_every_s) == (10.0, 7.0, 2.0)


def test_it_needs_redis_and_says_why(tmp_path):
    told = refusal(tmp_path, f"{MINIMAL}controller: {{election: {{kind: lease}}}}\n")
    assert "controller.election needs table.redis_url" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("kind: raft", "'lease'"),
        ("name: Not_A_Name", "pattern"),
        ("lease_s: 7", "leave no room"),
        ("renew_deadline_s: 4", "leave no room"),
        ("renew_every_s: 3.5", "leave no room"),
        ("lease_s: 10.5", "whole seconds"),
        ("lease_s: 2", "greater than or equal to 3"),
        ("identity: ''", "at least 1"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path, line, told):
    key = line.partition(":")[0]
    text = election(line) if key != "kind" else f"{REDIS}controller: {{election: {{{line}}}}}\n"
    message = refusal(tmp_path, text)
    assert "controller.election" in message
    assert told in message


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("table_ttl_s: 33", "table_ttl_s is 33, less than twice the sum of election.lease_s, .*, 34: .*; raise it"),
        ("tick_s: 20, table_ttl_s: 600", "tick_s is 20: .* less than 20"),
        ("tick_s: 19", "table_ttl_s is 60, .*, 62:"),
    ],
)
def test_a_pace_at_which_no_standby_takes_over_in_time_is_refused(tmp_path, own, told):
    message = refusal(tmp_path, f"{REDIS}controller: {{{own}, election: {{kind: lease}}}}\n")
    assert "controller" in message
    assert re.search(told, message), message
    assert load(write(tmp_path, f"{MINIMAL}controller: {{{own}}}\n")), "alone it has nobody to take over"


def test_a_table_of_which_half_outlasts_a_takeover_is_taken(tmp_path):
    load(write(tmp_path, f"{REDIS}controller: {{table_ttl_s: 34, election: {{kind: lease}}}}\n"))
    assert "74" in refusal(tmp_path, election("lease_s: 30"))


def test_a_standby_is_seen_for_as_long_as_its_ticks_may_be_apart():
    assert STANDBY_S * 1000 == STANDBY_MS
