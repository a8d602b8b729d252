"""Measuring again what was lost because the power could not be read for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from controller.clock import Clock
from controller.errors import PowerLost, ProfileError
from controller.profile.power import GpuMeter

PATIENCE_S = 120.0
"""Longest wait for a source of power: an exporter, or the machine's driver, is started again within that."""
TRIES = 3

T = TypeVar("T")


async def with_power(
    measure: Callable[[], Awaitable[T]], meter: GpuMeter, waits: Callable[[str], None], clock: Clock
) -> T:
    """What `measure` gives, measured anew where the power was lost meanwhile.

    Args:
        measure: one measurement.
        meter: waited for.
        waits: told why, each time.
        clock: to wait by.

    Raises:
        ProfileError: the power did not come back, or was lost in every try.
    """
    tries = 0
    while True:
        try:
            return await measure()
        except PowerLost as lost:
            tries += 1
            if tries == TRIES:
                raise _given_up(lost, f"so it was in {TRIES} tries") from lost
            waits(str(lost))
            if not await meter.back(clock, PATIENCE_S):
                raise _given_up(lost, f"it did not come back within {PATIENCE_S:g} s") from lost


def _given_up(lost: PowerLost, how: str) -> ProfileError:
    return ProfileError(f"{lost}; {how}. When it is well, run the same command again: what was measured is kept")
