import itertools

from hypothesis import given
from hypothesis import strategies as st

from controller.signals.power.steps import Step, stepped


def walk(looks, hold_s=10.0):
    step, places = Step(), []
    for now_s, usable in enumerate(looks):
        step = stepped(step, usable, now_s=float(now_s), hold_s=hold_s)
        places.append(step.place)
    return places


def test_the_best_is_taken_at_first_and_the_next_one_as_soon_as_it_is_lost():
    assert walk([(True, True), (False, True), (False, False)]) == [0, 1, None]


def test_the_better_one_is_taken_again_only_after_it_stayed():
    lost_and_back = [(True, True), (False, True), *[(True, True)] * 12]
    assert walk(lost_and_back) == [0, 1, *[1] * 10, 0, 0]


def test_a_source_that_comes_and_goes_is_never_taken_again():
    flapping = [(True, True), *[(n % 8 < 4, True) for n in range(4, 80)]]
    assert set(walk(flapping)[1:]) == {1}


def test_when_the_one_in_use_is_lost_nothing_is_waited_for():
    assert walk([(False, True), (True, True), (True, False)]) == [1, 1, 0]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_what_is_used_can_be_used_and_rises_are_rare(looks):
    places = walk(looks)
    assert all(place is None or looks[n][place] for n, place in enumerate(places))
    rises = [
        n
        for n in range(1, len(places))
        if places[n] is not None and places[n - 1] is not None and places[n] < places[n - 1] and looks[n][places[n - 1]]
    ]
    assert all(b - a >= 10 for a, b in itertools.pairwise(rises))
