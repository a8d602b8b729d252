from router.contract_presence import Heard
from router.hearing import Hearing, stale_s


def test_one_that_tells_nothing_new_is_gone_after_a_while_and_back_with_its_next_word():
    hearing = Hearing(1.0, 3600.0)
    told = {"a": Heard(100.0, 1)}
    assert hearing.live(told, 0.0) == told
    for now_s in (2.0, 4.0, 5.0):
        assert hearing.live(told, now_s) == told
    assert hearing.live(told, 5.1) == {}
    assert hearing.live({"a": Heard(101.0, 1)}, 6.0) == {"a": Heard(101.0, 1)}


def test_the_first_looks_after_nothing_was_heard_for_long_have_nobody_taken_for_gone():
    hearing = Hearing(1.0, 3600.0)
    alive, dead = Heard(100.0, 1), Heard(50.0, 1)
    for now_s in (0.0, 2.0, 4.0, 6.0):
        there = hearing.live({"alive": Heard(100.0 - 6.0 + now_s, 1), "dead": dead}, now_s)
    assert there == {"alive": alive}
    for now_s in (66.0, 67.0):
        assert hearing.live({"alive": alive, "dead": dead}, now_s) == {"alive": alive}
    assert hearing.live({"alive": alive, "dead": dead}, 68.0) == {}


def test_what_their_clocks_show_does_not_matter():
    hearing = Hearing(1.0, 3600.0)
    for n in range(20):
        heard = {"ahead": Heard(7200.0 + n, 0), "behind": Heard(-7200.0 + n, 0), "set back": Heard(50.0 - 10 * n, 0)}
        assert hearing.live(heard, float(n)) == heard


def test_those_that_were_silent_for_long_are_forgotten_and_those_that_left_are_not_known():
    hearing = Hearing(1.0, 3600.0)
    for n, now_s in enumerate((0.0, 3601.0, 3602.0, 3603.0)):
        assert hearing.forgotten(now_s) == set()
        hearing.live({"a": Heard(1.0, 0), "b": Heard(float(n), 0)}, now_s)
    assert hearing.forgotten(3603.0) == {"a"}
    for now_s in (9000.0, 9001.0, 9002.0):
        hearing.live({"b": Heard(3.0, 0)}, now_s)
    assert hearing.forgotten(9002.0) == {"b"}


def test_how_long_one_may_be_silent_it_tells_itself_whoever_reads_it():
    seldom, often = Heard(100.0, 1, 1, "a", 20.0), Heard(100.0, 1, 1, "b", 0.5)
    for interval_s in (0.1, 1.0, 60.0):
        hearing = Hearing(interval_s, 3600.0)
        for now_s in (0.0, 1.0, 2.0, 5.0):
            assert hearing.live({"a": seldom, "b": often}, now_s) == {"a": seldom, "b": often}
        assert hearing.live({"a": seldom, "b": often}, 5.1) == {"a": seldom}
        assert hearing.live({"a": seldom, "b": often}, 100.0) == {"a": seldom}
        assert hearing.live({"a": seldom, "b": often}, 100.1) == {}


def test_one_that_does_not_say_tells_as_often_as_the_reader():
    hearing = Hearing(20.0, 3600.0)
    told = {"a": Heard(100.0, 1)}
    for now_s in (0.0, 1.0, 2.0, 100.0):
        assert hearing.live(told, now_s) == told
    assert hearing.live(told, 100.1) == {}


def test_silence_of_a_moment_is_no_end_however_often_one_tells():
    assert (stale_s(0.01), stale_s(1.0), stale_s(4.0)) == (5.0, 5.0, 20.0)
