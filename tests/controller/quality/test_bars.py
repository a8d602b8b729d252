"""Bars: what sets and lifts them, and what outlives a restart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.observation import Barred
from controller.quality.answers import Comparison
from controller.quality.bars import BY_OPERATOR, Bars
from controller.quality.evidence import Rule
from tests.fakes.controller_parts import pool, site

RULE = Rule()
SITE = site(pool("fp8", ("http://127.0.0.1:1", "http://127.0.0.1:2")))
SAME, OTHER = Comparison(True, None, None), Comparison(False, 0, None)


def _bars() -> Bars:
    return Bars(RULE, SITE, 1.0)


def _take(bars: Bars, instance: str, compared: Comparison, times: int = 1) -> list[str]:
    out = []
    for n in range(times):
        out += [
            ("+" if change.is_set else "-") + change.barred.name
            for change in bars.take(instance, compared, floor_frac=0.8, now_s=float(n))
        ]
    return out


def test_a_pool_of_one_instance_in_sight_is_barred_as_a_pool() -> None:
    bars = _bars()
    assert _take(bars, "fp8-0", OTHER, 30) == ["+fp8"]
    assert bars.is_barred("fp8-1")
    assert "0 of the last" in bars.barred[0].reason


def test_an_instance_is_barred_alone_where_its_neighbour_is_sound() -> None:
    bars = _bars()
    told = [line for _ in range(30) for line in _take(bars, "fp8-0", OTHER) + _take(bars, "fp8-1", SAME)]
    assert told == ["+fp8-0"]
    assert bars.is_barred("fp8-0")
    assert not bars.is_barred("fp8-1")
    assert _take(bars, "fp8-0", OTHER, 100) == []  # no evidence about the pool


def test_it_comes_back_after_so_many_in_a_row_and_no_sooner() -> None:
    bars = _bars()
    _take(bars, "fp8-0", OTHER, 30)
    assert _take(bars, "fp8-0", SAME, RULE.readmit_after - 1) == []
    assert _take(bars, "fp8-1", OTHER) == []
    assert _take(bars, "fp8-1", SAME, RULE.readmit_after) == ["-fp8"]
    assert bars.suspicion("fp8-0") == 0.0


def test_an_operators_bar_stays_until_an_operator_lifts_it() -> None:
    bars = _bars()
    change = bars.bar("fp8", "new weights", 5.0)
    assert change is not None
    assert change.barred == Barred("fp8", True, BY_OPERATOR, "new weights", 5.0)
    assert bars.bar("fp8", "again", 6.0) is None
    assert _take(bars, "fp8-0", SAME, 100) == []
    lifted = bars.lift("fp8", "tested")
    assert lifted is not None
    assert not lifted.is_set
    assert bars.lift("fp8", "tested") is None
    with pytest.raises(KeyError):
        bars.bar("fp9", "", 0.0)


def test_bars_are_restored_and_those_of_names_that_are_gone_dropped_once_it_is_known_who_is_there() -> None:
    bars = _bars()
    bars.restore((Barred("fp8-1", False, BY_OPERATOR, "x", 1.0), Barred("gone", True, BY_OPERATOR, "x", 1.0)))
    assert [bar.name for bar in bars.barred] == ["fp8-1", "gone"]
    bars.follow(SITE)
    assert [bar.name for bar in bars.barred] == ["fp8-1"]


def test_what_is_known_of_an_instance_goes_with_it_and_a_new_one_begins_unknown() -> None:
    bars = _bars()
    assert _take(bars, "fp8-1", OTHER, 200)
    pods = replace(SITE, pools=(replace(SITE.pools[0], instances=SITE.pools[0].instances[:1]),))
    bars.lift("fp8", "tested")
    bars.bar("fp8-1", "odd", 9.0)
    bars.follow(pods)
    assert bars.barred == ()
    assert not bars.knows("fp8-1")
    bars.follow(SITE)
    assert bars.knows("fp8-1")
    assert bars.own_suspicion("fp8-1") == 0.0
    assert not bars.is_barred("fp8-1")


def test_a_pool_without_instances_can_be_barred() -> None:
    bars = _bars()
    bars.follow(replace(SITE, pools=(replace(SITE.pools[0], instances=()),)))
    assert bars.bar("fp8", "new weights", 1.0) is not None
    bars.follow(SITE)
    assert bars.is_barred("fp8-0")
