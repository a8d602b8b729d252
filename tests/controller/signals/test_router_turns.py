import pytest

from controller.errors import SignalError
from controller.signals.router_state import RouterState
from controller.signals.router_turns import Turns

NAMES = [f"router-{n}" for n in range(6)]


def told(instances: int) -> RouterState:
    on_instance = {f"pod-{n}": 1 for n in range(instances)}
    return RouterState(1, {}, {}, {}, {}, on_instance)


def test_few_are_all_read_each_time():
    turns = Turns(most=1000)
    for _ in range(3):
        due = turns.take(NAMES)
        assert sorted(due) == NAMES
        turns.told({name: told(100) for name in due})
    assert set(turns.answers) == set(NAMES)


def test_many_are_read_in_turn_and_none_waits_longer_than_the_others():
    turns = Turns(most=1000)
    turns.take(NAMES)
    turns.told({name: told(500) for name in NAMES})
    seen = [turns.take(NAMES) for _ in range(6)]
    assert all(len(due) == 2 for due in seen)
    for first in range(0, 6, 3):
        assert sorted(name for due in seen[first : first + 3] for name in due) == NAMES
    assert set(turns.answers) == set(NAMES)


@pytest.mark.parametrize("entries", [0, 10_000])
def test_one_is_always_read_however_much_it_tells(entries):
    turns = Turns(most=100)
    turns.take(NAMES[:2])
    turns.told({name: told(entries) for name in NAMES[:2]})
    assert turns.take(NAMES[:2])


def test_who_could_not_be_read_is_tried_each_time_and_who_left_is_forgotten():
    turns = Turns(most=1)
    turns.take(NAMES[:3])
    turns.told({NAMES[0]: SignalError(NAMES[0], "nothing"), NAMES[1]: told(5), NAMES[2]: told(5)})
    due = [turns.take(NAMES[:3]) for _ in range(2)]
    assert all(NAMES[0] in each for each in due)
    assert {name for each in due for name in each} == set(NAMES[:3])
    turns.take(NAMES[1:3])
    assert set(turns.answers) == set(NAMES[1:3])


def test_new_ones_are_read_soon():
    turns = Turns(most=1)
    turns.take(NAMES[:1])
    turns.told({NAMES[0]: told(5)})
    assert NAMES[1] in turns.take(NAMES[:2]) + turns.take(NAMES[:2])
    assert NAMES[1] not in turns.answers
