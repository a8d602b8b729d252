from __future__ import annotations

import pytest

from controller.profile.steady import MAX_SPREAD_FRAC, steadiness


@pytest.mark.parametrize(
    ("power_w", "rates", "is_steady"),
    [
        ([500, 505, 498, 501], [100, 101, 99, 100], True),
        ([500, 520, 540, 580], [100, 100, 100, 100], False),
        ([500, 500, 500, 500], [100, 60, 140, 100], False),
        ([0, 0, 0, 0], [100, 100, 100, 100], False),
    ],
    ids=["steady", "warming", "requests in waves", "no power"],
)
def test_windows_whose_parts_differ_are_not_steady(power_w: list[float], rates: list[float], is_steady: bool) -> None:
    found = steadiness(power_w, rates)
    assert found.is_within(MAX_SPREAD_FRAC) is is_steady
    assert "between parts of the window; let pass are 5.0% and 10.0%" in found.told(MAX_SPREAD_FRAC)


def test_the_operator_may_let_more_pass_or_less() -> None:
    found = steadiness([500, 520, 540, 580], [100, 100, 100, 100])
    assert [found.is_within(frac) for frac in (0.02, 0.10, 0.14)] == [False, False, True]
