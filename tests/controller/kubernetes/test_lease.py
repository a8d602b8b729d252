import dataclasses
import random

import pytest

from controller.kubernetes.lease import (
    MOST_DURATION_S,
    NOBODY,
    Election,
    LeaseRecord,
    LeaseTimes,
    Standing,
    overtaken,
    read,
    released,
    wait_s,
    wanted,
    written,
)

A, B = Election("a"), Election("b")


def record(holder="a", renewed="t0", version="1", **more):
    return LeaseRecord(
        **{"holder": holder, "renewed": renewed, "acquired": "t0", "transitions": 3, "duration_s": 10.0, **more},
        version=version,
    )


def leading(now_s=100.0):
    return written(read(A, None, now_s), record(transitions=0), now_s)


def test_a_lease_that_does_not_exist_is_created_and_led():
    seen = read(A, None, 5.0)
    want = wanted(seen, 5.0, "now")
    assert want == LeaseRecord("a", "now", "now", 0, 10.0, None)
    held = written(seen, dataclasses.replace(want, version="1"), 5.0)
    assert held.standing is Standing.HELD
    assert held.leader == "a"


def test_a_lease_that_another_renews_is_never_taken():
    seen = B
    for second in range(60):
        seen = read(seen, record(renewed=f"t{second // 2}", version=str(second)), float(second))
        assert wanted(seen, float(second), "now") is None
    assert seen.standing is Standing.STANDBY
    assert seen.leader == "a"


def test_a_lease_runs_out_by_our_own_clock_alone_whatever_its_times_say():
    for renewed in ("1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"):
        seen = read(B, record(renewed=renewed), 50.0)
        assert wanted(read(seen, record(renewed=renewed), 59.9), 59.9, "now") is None
        taken = wanted(read(seen, record(renewed=renewed), 60.0), 60.0, "now")
        assert taken == LeaseRecord("b", "now", "now", 4, 10.0, "1")


def test_a_lease_that_was_released_is_taken_at_once():
    held = leading()
    free = released(held, "end")
    assert free is not None
    assert free.holder == NOBODY
    seen = read(read(B, record(), 100.0), dataclasses.replace(free, version="2"), 101.0)
    assert seen.leader is None
    want = wanted(seen, 101.0, "now")
    assert want is not None
    assert (want.holder, want.version) == ("b", "2")


def test_only_the_holder_releases():
    assert released(read(B, record(), 1.0), "end") is None
    assert released(B, "end") is None


def test_the_holder_stops_acting_before_anybody_can_take_over():
    held = leading(100.0)
    assert held.may_act(106.99)
    assert not held.may_act(107.0)
    assert held.at(107.0).standing is Standing.LOST
    watching = read(B, record(), 100.0)
    assert wanted(watching, 107.0, "now") is None


def test_a_holder_that_was_late_leads_again_where_nobody_took_the_lease():
    late = read(leading(100.0), record(transitions=0), 109.0)
    assert late.standing is Standing.LOST
    renewal = wanted(late, 109.0, "now")
    assert renewal is not None
    assert renewal.transitions == 0
    assert written(late, renewal, 109.0).may_act(109.0)


def test_a_holder_that_finds_another_name_has_lost_and_does_not_write():
    seen = read(leading(100.0), record("b", "t9", "7", transitions=1), 101.0)
    assert seen.standing is Standing.LOST
    assert not seen.may_act(101.0)
    assert wanted(seen, 101.0, "now") is None


def test_a_conflict_loses_the_lease_and_leaves_a_standby_where_it_was():
    assert overtaken(leading()).standing is Standing.LOST
    assert overtaken(B).standing is Standing.STANDBY


def test_a_lease_that_somebody_deleted_is_made_anew_by_its_holder_within_the_deadline():
    seen = read(leading(100.0), None, 102.0)
    assert seen.may_act(102.0)
    want = wanted(seen, 102.0, "now")
    assert want is not None
    assert want.version is None
    assert not read(leading(100.0), None, 107.0).may_act(107.0)


def test_a_longer_lease_of_another_setting_is_waited_for_but_not_for_ever():
    slow = record(duration_s=30.0)
    assert wanted(read(read(B, slow, 0.0), slow, 29.0), 29.0, "now") is None
    assert wanted(read(read(B, slow, 0.0), slow, 30.0), 30.0, "now") is not None
    endless = record(duration_s=1e9)
    assert wanted(read(read(B, endless, 0.0), endless, MOST_DURATION_S), MOST_DURATION_S, "now") is not None
    absurd = record(duration_s=-1.0)
    assert wanted(read(read(B, absurd, 0.0), absurd, 9.0), 9.0, "now") is None


def test_waits_are_jittered_end_as_the_lease_runs_out_and_honour_what_the_server_asks_for():
    assert wait_s(leading(), 100.0, 0.0) == pytest.approx(2.0)
    assert wait_s(leading(), 100.0, 1.0) == pytest.approx(2.2)
    watching = read(B, record(), 100.0)
    assert wait_s(watching, 109.5, 0.0) == pytest.approx(0.5)
    assert wait_s(watching, 200.0, 0.0) == 0.0
    assert wait_s(watching, 100.0, 0.0, retry_after_s=5.0) == pytest.approx(5.0)
    assert wait_s(watching, 100.0, 0.0, retry_after_s=1e6) == pytest.approx(30.0)


@pytest.mark.parametrize("seed", range(20))
def test_however_three_candidates_are_frozen_and_cut_off_at_most_one_may_act(seed):
    """A server with versions; each candidate has a clock of its own rate of looks, is frozen and cut off by chance."""
    chance = random.Random(seed)
    times = LeaseTimes()
    candidates = {name: Election(name, times) for name in "abc"}
    due = dict.fromkeys("abc", 0.0)
    server, version, led = None, 0, set()
    for now_s in (tenth / 10 for tenth in range(6000)):
        for name in sorted(candidates, key=lambda _: chance.random()):
            if now_s < due[name]:
                continue
            if chance.random() < 0.04:
                due[name] = now_s + chance.uniform(1.0, 40.0)  # frozen: nothing is looked at meanwhile
                continue
            seen = read(candidates[name], server, now_s)
            want = wanted(seen, now_s, f"{name}{now_s}")
            if want is not None and chance.random() < 0.9:  # else the write is lost on its way
                version += 1
                server = dataclasses.replace(want, version=str(version))
                seen = written(seen, server, now_s)
            candidates[name] = seen
            due[name] = now_s + wait_s(seen, now_s, chance.random())
        acting = [name for name, election in candidates.items() if election.may_act(now_s)]
        assert len(acting) <= 1
        led.update(acting)
    assert len(led) >= 2, "the lease never changed hands: the test has shown nothing"


def test_a_holder_is_asked_only_by_what_was_written_while_it_held_and_not_long_ago():
    left_over = read(A, record(holder="b", asked="c 1"), 90.0)
    held = written(left_over, record(asked="c 1"), 100.0)
    assert not read(held, record(asked="c 1"), 101.0).is_asked(101.0)
    asked = read(held, record(asked="c 2"), 102.0)
    assert asked.is_asked(102.0)
    assert asked.is_asked(111.9)
    assert not asked.is_asked(112.0)
    assert written(asked, record(asked="c 2"), 104.0).is_asked(104.0)
    lost = read(asked, record(holder="c", asked="c 2"), 105.0)
    assert not written(lost, record(asked="c 2"), 106.0).is_asked(106.0)


def test_what_a_standby_sees_another_ask_says_nothing_of_itself():
    seen = read(read(B, record(asked=""), 1.0), record(asked="c 1"), 2.0)
    assert not seen.is_asked(2.0)
