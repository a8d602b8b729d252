"""Another process under this router's name: a successor, or a fault."""

from __future__ import annotations

from router.contract_presence import Heard
from router.namesake import Identity, Namesake

OVERLAP_S = 60.0
MINE = Heard(1.0, 2, 3, "me")


def other(told_s: float = 1.0, identity: str = "you") -> Heard:
    return Heard(told_s, 4, 3, identity)


def namesake() -> Namesake:
    return Namesake(Identity("a", "me", OVERLAP_S), interval_s=1.0)


def test_a_router_that_finds_its_own_word_is_alone() -> None:
    names = namesake()
    for now_s, entry in enumerate((None, MINE, MINE, MINE)):
        names.look(entry, float(now_s))
        assert (names.alive, names.is_fault) == (None, False)


def test_what_a_predecessor_has_left_is_nobody() -> None:
    names = namesake()
    names.look(other(), 0.0)
    names.look(MINE, 1.0)
    assert (names.alive, names.is_fault) == (None, False)


def test_one_that_tells_after_this_one_lives_and_is_a_fault_once_a_drain_would_be_over() -> None:
    names = namesake()
    for n in range(60):
        names.look(other(float(n)), float(n))
        assert names.alive == (other(float(n)) if n else None)
    assert not names.is_fault
    names.look(other(61.0), 61.0)
    assert names.is_fault


def test_one_that_drains_and_ends_is_no_fault_and_is_forgotten() -> None:
    names = namesake()
    for n in range(50):
        names.look(other(float(n)), float(n))
    for n in range(50, 54):
        names.look(MINE, float(n))
    assert names.alive == other(49.0), "it may tell more seldom"
    names.look(MINE, 54.5)
    assert (names.alive, names.is_fault) == (None, False)
    names.look(other(70.0), 70.0)
    names.look(other(71.0), 71.0)
    assert not names.is_fault, "the time of the next one counts from its first word"


def test_one_that_is_seen_at_few_looks_is_not_forgotten_between_them() -> None:
    names = namesake()
    for n in range(0, 90, 9):
        names.look(other(float(n)), float(n))
        names.look(MINE, float(n) + 8.0)
    assert names.is_fault


def test_one_that_tells_more_seldom_is_not_forgotten_before_it_could_tell_again() -> None:
    names = namesake()
    for n in range(2):
        names.look(Heard(float(n), 4, 3, "you", 10.0), float(n))
    for now_s in (20.0, 30.0, 51.0):
        names.look(MINE, now_s)
    assert names.alive is not None
    names.look(MINE, 51.1)
    assert names.alive is None


def test_a_fault_ends_with_the_other_one() -> None:
    names = namesake()
    names.look(other(), 0.0)
    names.look(other(), OVERLAP_S + 1.0)
    assert names.is_fault
    for n in range(3):
        names.look(MINE, OVERLAP_S + 10.0 + n)
    assert not names.is_fault


def test_processes_that_are_started_again_and_again_are_one_fault() -> None:
    names = namesake()
    for n in range(62):
        names.look(other(float(n), f"start {n}"), float(n))
    assert names.is_fault


def test_an_older_version_that_does_not_say_who_it_is_is_another_process() -> None:
    names = namesake()
    names.look(Heard(1.0, 4), 0.0)
    names.look(Heard(2.0, 4), 1.0)
    assert names.alive == Heard(2.0, 4)
