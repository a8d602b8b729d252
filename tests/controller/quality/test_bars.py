"""Bars: what sets and lifts them, and what outlives a restart."""

from __future__ import annotations

import pytest

from controller.model.observation import Barred
from controller.quality.answers import Comparison
from controller.quality.bars import BY_OPERATOR, Bars
from controller.quality.evidence import Rule

RULE = Rule()
POOL_OF = {"fp8-0": "fp8", "fp8-1": "fp8"}
SAME, OTHER = Comparison(True, None, None), Comparison(False, 0, None)


def _bars() -> Bars:
    return Bars(RULE, POOL_OF, 1.0)


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


def test_bars_are_restored_and_those_of_unknown_names_dropped() -> None:
    bars = _bars()
    bars.restore((Barred("fp8-1", False, BY_OPERATOR, "x", 1.0), Barred("gone", True, BY_OPERATOR, "x", 1.0)))
    assert [bar.name for bar in bars.barred] == ["fp8-1"]
