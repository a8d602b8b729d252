"""The share of caps by the controller's word on how many routers there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.share import shared_cap
from router.told_share import LOOKS, ToldShare


def told(*numbers: int) -> list[float]:
    """The shares that follow from them, one after the other."""
    applied: list[float] = []
    share = ToldShare(applied.append)
    for number in numbers:
        share.hear(number)
    return applied


def test_every_router_has_an_even_part() -> None:
    assert told(1, 2, 4) == [1.0, 0.5, 0.25]


def test_a_router_that_is_gone_is_believed_gone_once_it_was_told_several_times() -> None:
    assert told(4, 3, 3, 3) == [0.25, 0.25, 0.25, 1 / 3]
    assert told(4, 1, 4, 1, 1) == [0.25] * 5


def test_a_controller_that_hears_of_no_router_changes_nothing() -> None:
    assert told(0, 0, 0) == []
    assert told(2, *[0] * (2 * LOOKS)) == [0.5]


def test_what_is_shown_is_what_is_gone_by() -> None:
    share = ToldShare(lambda _: None)
    assert share.gauges() == {}
    share.hear(4)
    share.hear(3)
    assert share.gauges() == {"routers_known": 4.0, "caps_share_frac": 0.25}


def test_where_caps_are_not_shared_each_router_has_all_of_them_and_tells_how_many_there_are() -> None:
    share = ToldShare(None)
    share.hear(4)
    assert share.gauges() == {"routers_known": 4.0, "caps_share_frac": 1.0}


@given(cap=st.integers(1, 4096), routers=st.integers(1, 400))
def test_routers_never_have_more_than_the_cap_together_but_for_one_each(cap: int, routers: int) -> None:
    parts = [shared_cap(cap, told(routers)[-1]) for _ in range(routers)]
    assert min(parts) >= 1
    assert sum(parts) <= max(cap, routers)
    assert cap - sum(parts) < routers
