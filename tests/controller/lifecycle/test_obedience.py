from controller.lifecycle.obedience import watch
from controller.model.observation import Missing, RouterObservation

TTL_S = 60.0


def look(before, now_s, highest, issued=100):
    router = Missing("routers", "refused", now_s) if highest is None else told(highest, now_s)
    return watch(before, router, issued=issued, now_s=now_s, ttl_s=TTL_S)


def told(highest, now_s=0.0):
    return RouterObservation(now_s, 5, (), highest=("http://r:8081", highest))


def walk(*looks):
    """What is known after looks of (time, highest number, number issued here)."""
    known = None
    for now_s, highest, issued in looks:
        known = look(known, now_s, highest, issued)
    return known


def test_routers_that_obey_this_controller_are_not_astray():
    assert walk((0.0, 100, 100), (5.0, 99, 100), (10.0, -1, 100)) is None
    assert watch(None, RouterObservation(0.0, 5, ()), issued=1, now_s=0.0, ttl_s=TTL_S) is None


def test_what_a_former_life_has_left_is_no_fault_for_as_long_as_it_may_be_valid():
    """A clock that was set back at a restart without the state: numbers begin below those that routers hold."""
    left = walk((0.0, 500, 100), (30.0, 500, 101), (59.0, 500, 102))
    assert (left.first_s, left.last_s, left.fallback) == (0.0, 59.0, None)
    assert look(left, 60.0, -1, 103) == left, "it acknowledges nothing until it is sure that it is over"
    assert look(left, 119.0, 103, 103) is None


def test_a_router_that_obeys_a_higher_number_for_longer_follows_another_controller():
    known = walk((0.0, 500, 100), (30.0, 510, 101), (60.0, 520, 102))
    assert known.fallback.ladder == "table"
    assert "router http://r:8081 obeys table 520, and the last one issued here is 102" in known.fallback.reason
    assert "controller.election" in known.fallback.reason
    assert "table.redis_key" in known.fallback.reason


def test_tables_of_two_issuers_that_routers_obey_in_turn_are_told_too():
    known = walk(*((5.0 * n, 500 if n % 2 else 100, 100) for n in range(14)))
    assert known.fallback is not None


def test_a_number_that_was_above_once_is_forgotten():
    assert walk((0.0, 500, 100), (30.0, 500, 100), (95.0, 100, 100)) is None
    again = walk((0.0, 500, 100), (100.0, 500, 100), (130.0, 500, 100))
    assert (again.first_s, again.fallback) == (100.0, None)


def test_silent_routers_change_nothing():
    known = walk((0.0, 500, 100), (60.0, 500, 100))
    assert look(known, 65.0, None) == known
