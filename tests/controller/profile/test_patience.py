from __future__ import annotations

import pytest

from controller.clock import VirtualClock
from controller.errors import PowerLost, ProfileError
from controller.profile.patience import PATIENCE_S, TRIES, with_power
from controller.profile.power import GpuMeter
from tests.fakes.fixed_source import Fixed


class Lost:
    """Fails so often, then gives a figure."""

    def __init__(self, failures: int, kind: type[ProfileError] = PowerLost) -> None:
        self.left = failures
        self.kind = kind
        self.asked = 0

    async def __call__(self) -> float:
        self.asked += 1
        if self.left > 0:
            self.left -= 1
            raise self.kind("cannot connect")
        return 300.0


class Meter(GpuMeter):
    """Comes back at once or never."""

    def __init__(self, comes_back: bool) -> None:
        super().__init__(Fixed(({}, ())), "dcgm=http://gpus", ())
        self.comes_back = comes_back

    async def back(self, clock: object, patience_s: float) -> bool:
        assert patience_s == PATIENCE_S
        return self.comes_back


async def test_what_was_lost_is_measured_again_once_the_source_is_back() -> None:
    lost, said = Lost(TRIES - 1), list[str]()
    assert await with_power(lost, Meter(True), said.append, VirtualClock()) == 300.0
    assert lost.asked == TRIES
    assert said == ["cannot connect"] * (TRIES - 1)


@pytest.mark.parametrize(("comes_back", "told"), [(False, "did not come back within 120 s"), (True, "in 3 tries")])
async def test_a_source_that_stays_away_or_goes_again_and_again_ends_the_profile(comes_back: bool, told: str) -> None:
    with pytest.raises(
        ProfileError, match=f"cannot connect.*{told}.*the same command again: what was measured is kept"
    ):
        await with_power(Lost(99), Meter(comes_back), lambda _: None, VirtualClock())


async def test_what_else_is_wrong_is_not_tried_again() -> None:
    lost = Lost(1, ProfileError)
    with pytest.raises(ProfileError):
        await with_power(lost, Meter(True), lambda _: None, VirtualClock())
    assert lost.asked == 1
