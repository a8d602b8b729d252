"""A reference is believed once others have agreed with it, and doubted where all differ before that."""

from __future__ import annotations

import pytest

from controller.quality.trust import CONFIRMED, ReferenceTrust


def _agreed(times: int) -> ReferenceTrust:
    trust = ReferenceTrust()
    for _ in range(times):
        trust.take(agrees=True)
        trust.take(agrees=False)
    return trust


@pytest.mark.parametrize(("times", "confirmed"), [(0, False), (CONFIRMED - 1, False), (CONFIRMED, True)])
def test_some_agreement_confirms_it(times: int, confirmed: bool) -> None:
    trust = _agreed(times)
    assert trust.is_confirmed is confirmed
    assert trust.holds(2) is not confirmed
    assert trust.is_doubted([1.2, 1.0]) is not confirmed


def test_a_single_other_pool_is_not_spared() -> None:
    assert not ReferenceTrust().holds(1)


@pytest.mark.parametrize("suspicions", [[], [0.4], [1.3, 0.9]])
def test_it_is_not_doubted_while_anybody_may_yet_agree(suspicions: list[float]) -> None:
    assert not ReferenceTrust().is_doubted(suspicions)
