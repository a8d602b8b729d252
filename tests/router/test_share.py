import math

from hypothesis import given
from hypothesis import strategies as st

from router.contract_presence import Heard
from router.share import share_of, shared_cap

NOW_S = 1_700_000_000.0


def test_a_router_that_is_alone_has_all_of_it():
    assert share_of("a", 0, {}) == 1.0
    assert share_of("a", 500, {"a": Heard(NOW_S, 3)}) == 1.0
    assert shared_cap(228, 1.0) == 228


@given(loads=st.lists(st.integers(0, 10_000), min_size=1, max_size=50))
def test_the_shares_of_all_come_to_one_and_more_work_gives_more(loads):
    heard = {str(n): Heard(NOW_S, load) for n, load in enumerate(loads)}
    shares = [share_of(name, each.load, heard) for name, each in heard.items()]
    assert math.isclose(sum(shares), 1.0)
    assert all(share >= 0.5 / len(loads) for share in shares)
    assert sorted(shares) == [share for _, share in sorted(zip(loads, shares, strict=True))]


@given(part=st.integers(1, 200), routers=st.integers(1, 400))
def test_a_cap_that_can_be_parted_evenly_is_parted_without_a_rest(part, routers):
    assert shared_cap(part * routers, 1.0 / routers) == part


@given(cap=st.integers(0, 1024), loads=st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_routers_that_heard_the_same_never_have_more_than_the_cap_but_for_one_each(cap, loads):
    heard = {str(n): Heard(NOW_S, load) for n, load in enumerate(loads)}
    parts = [shared_cap(cap, share_of(name, each.load, heard)) for name, each in heard.items()]
    assert sum(part for part in parts if part > 1) <= cap
    assert all((part >= 1) is (cap >= 1) for part in parts)
