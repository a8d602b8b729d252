import pytest

from controller.supervise.policy import Act, Life, Phase, Rules, Seen, asked, begun, crashed, postponed, step

RULES = Rules(ready_s=100.0, stop_s=10.0, first_s=2.0, longest_s=30.0, most_crashes=4, window_s=1000.0)
GONE = Seen(is_alive=False, ending="exit code 1")
RUNS = Seen(is_alive=True)
WELL = Seen(is_alive=True, is_healthy=True)


def life(phase=Phase.OFF, *, wanted=True, since_s=0.0, **more):
    return Life(wanted, phase, since_s, **more)


def told(before, seen, now_s=1.0, rules=RULES):
    return step(before, seen, now_s, 1.0, rules)


def test_one_that_is_wanted_is_started_once_and_serves_when_its_health_is_good():
    after, act = told(life(), GONE)
    assert (after.phase, act) == (Phase.STARTING, Act.START)
    after, act = told(after, RUNS, 2.0)
    assert (after.phase, act) == (Phase.STARTING, None)
    after, act = told(after, WELL, 3.0)
    assert (after.phase, act) == (Phase.SERVING, None)


def test_one_that_is_not_wanted_stays_off():
    assert told(life(wanted=False), GONE) == (life(wanted=False), None)


def test_one_that_is_not_ready_in_time_is_ended_and_counts_as_crashed():
    after, act = told(life(Phase.STARTING), RUNS, 99.0)
    assert act is None
    after, act = told(after, RUNS, 100.0)
    assert (after.phase, act) == (Phase.STOPPING, Act.TERMINATE)
    after, act = told(after, GONE, 101.0)
    assert (after.phase, after.fault) == (Phase.CRASHED, "/health was not good within 100 s of the start")


def test_a_stop_is_asked_for_and_enforced_after_its_time():
    after, act = told(asked(life(Phase.SERVING), 0.0, wanted=False), WELL, 5.0)
    assert (after.phase, act) == (Phase.STOPPING, Act.TERMINATE)
    assert told(after, WELL, 14.9) == (after, None)
    assert told(after, WELL, 15.0) == (after, Act.KILL)
    after, act = told(after, GONE, 15.5)
    assert (after.phase, after.fault, act) == (Phase.OFF, "", None)


def test_one_asked_for_again_while_it_ends_is_started_when_it_has_and_has_not_crashed():
    ending = asked(life(Phase.STOPPING, wanted=False), 1.0, wanted=True)
    after, act = told(ending, WELL, 2.0)
    assert (after.phase, act) == (Phase.STOPPING, None)
    after, act = told(after, GONE, 3.0)
    assert (after.phase, after.crashes, act) == (Phase.OFF, (), None)
    assert told(after, GONE, 3.5)[1] is Act.START


def test_a_crashed_one_is_started_again_later_each_time():
    waits, now_s, now = [], 0.0, life(Phase.SERVING)
    for _ in range(3):
        now, act = told(now, GONE, now_s)
        assert (now.phase, now.fault, act) == (Phase.CRASHED, "exit code 1", None)
        assert told(now, GONE, now.retry_at_s - 0.01)[1] is None
        waits.append(now.retry_at_s - now_s)
        now_s = now.retry_at_s
        now, act = told(now, GONE, now_s)
        assert act is Act.START
    assert waits == [2.0, 4.0, 8.0]


def test_the_wait_is_jittered_and_bounded():
    halved = crashed(life(Phase.SERVING), "x", 0.0, 0.0, RULES)
    assert halved.retry_at_s == 1.0
    rules = Rules(100.0, 10.0, first_s=20.0, longest_s=30.0, most_crashes=9, window_s=1000.0)
    often = crashed(life(Phase.SERVING, crashes=(0.0, 1.0, 2.0)), "x", 10.0, 1.0, rules)
    assert often.retry_at_s == 40.0


def test_one_that_crashes_too_often_is_given_up_and_told():
    after = crashed(life(Phase.SERVING, crashes=(1.0, 2.0, 3.0)), "exit code 1", 4.0, 1.0, RULES)
    assert after.phase is Phase.FAILED
    assert after.fault == "given up after 4 crashes within 1000 s; the last one: exit code 1"
    assert told(after, GONE, 1e6) == (after, None)


def test_crashes_of_long_ago_are_forgotten():
    after = crashed(life(Phase.SERVING, crashes=(1.0, 2.0, 3.0)), "x", 1003.0, 1.0, RULES)
    assert (after.phase, after.crashes) == (Phase.CRASHED, (1003.0,))


def test_an_order_begins_anew_with_one_that_was_given_up():
    given_up = life(Phase.FAILED, crashes=(1.0, 2.0, 3.0, 4.0), fault="given up")
    assert asked(given_up, 9.0, wanted=True) == Life(True, Phase.OFF, 9.0)
    assert asked(given_up, 9.0, wanted=False) == Life(False, Phase.OFF, 9.0)


def test_an_order_does_not_shorten_the_wait_of_a_crashed_one():
    waiting = life(Phase.CRASHED, crashes=(1.0,), retry_at_s=50.0, fault="x")
    assert asked(waiting, 9.0, wanted=True) == waiting
    assert asked(waiting, 9.0, wanted=False).phase is Phase.OFF


def test_one_that_may_not_be_started_yet_waits_without_a_crash_for_as_long_as_it_takes():
    now, act = told(life(crashes=(0.5,)), GONE, 1.0)
    now = postponed(now, "taken by b-0", 1.0)
    for turn in range(1, 100):
        assert (now.phase, now.since_s, now.crashes, now.fault) == (Phase.WAITING, 1.0, (0.5,), "taken by b-0")
        assert told(now, GONE, turn + 0.9) == (now, None)
        now, act = told(now, GONE, turn + 1.0)
        assert (now.phase, act) == (Phase.WAITING, Act.START)
        assert told(now, GONE, turn + 1.5)[1] is None
        now = postponed(now, "taken by b-0", turn + 1.0)
    assert begun(now, 200.0) == life(Phase.STARTING, since_s=200.0, crashes=(0.5,), retry_at_s=now.retry_at_s)


def test_a_stop_of_one_that_waits_is_a_stop():
    assert asked(postponed(life(), "x", 1.0), 2.0, wanted=False) == Life(False, Phase.OFF, 2.0)


def test_one_that_begins_after_a_crash_still_tells_it():
    after, _ = told(life(Phase.CRASHED, crashes=(1.0,), retry_at_s=2.0, fault="exit code 1"), GONE, 3.0)
    assert (begun(after, 4.0), after.fault) == (after, "exit code 1")


@pytest.mark.parametrize(("hung_s", "act"), [(None, None), (60.0, Act.TERMINATE), (61.0, None)])
def test_one_that_hangs_is_ended_only_where_that_is_asked_for(hung_s, act):
    rules = Rules(100.0, 10.0, 2.0, 30.0, 4, 1000.0, hung_s)
    after, found = told(life(Phase.SERVING), Seen(is_alive=True, ill_s=60.0), 500.0, rules)
    assert found is act
    if act is not None:
        assert told(after, GONE, 501.0, rules)[0].fault == "/health failed for 60 s"


def test_a_stop_of_one_that_is_ended_for_a_fault_is_a_stop():
    hung = life(Phase.STOPPING, ends_for="/health failed")
    after, _ = told(asked(hung, 1.0, wanted=False), GONE, 2.0)
    assert (after.phase, after.wanted, after.fault) == (Phase.OFF, False, "")
