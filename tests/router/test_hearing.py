from router.contract_presence import Heard
from router.hearing import Hearing


def test_one_that_tells_nothing_new_is_gone_after_a_while_and_back_with_its_next_word():
    hearing = Hearing(5.0, 3600.0)
    told = {"a": Heard(100.0, 1)}
    assert hearing.live(told, 0.0) == told
    assert hearing.live(told, 5.0) == told
    assert hearing.live(told, 5.1) == {}
    assert hearing.live({"a": Heard(101.0, 1)}, 6.0) == {"a": Heard(101.0, 1)}


def test_what_their_clocks_show_does_not_matter():
    hearing = Hearing(5.0, 3600.0)
    for n in range(20):
        heard = {"ahead": Heard(7200.0 + n, 0), "behind": Heard(-7200.0 + n, 0), "set back": Heard(50.0 - 10 * n, 0)}
        assert hearing.live(heard, float(n)) == heard


def test_those_that_were_silent_for_long_are_forgotten_and_those_that_left_are_not_known():
    hearing = Hearing(5.0, 3600.0)
    hearing.live({"a": Heard(1.0, 0), "b": Heard(1.0, 0)}, 0.0)
    hearing.live({"a": Heard(1.0, 0), "b": Heard(2.0, 0)}, 3601.0)
    assert hearing.forgotten(3601.0) == {"a"}
    hearing.live({"b": Heard(2.0, 0)}, 9000.0)
    assert hearing.forgotten(9000.0) == {"b"}
