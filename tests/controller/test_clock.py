import pytest

from controller.clock import SystemClock, VirtualClock


async def test_a_virtual_clock_moves_only_when_told():
    clock = VirtualClock(100.0)
    await clock.sleep(30.0)
    clock.advance(5.0)
    assert clock.wall_s() == clock.monotonic_s() == 135.0
    await clock.sleep(-3.0)
    assert clock.wall_s() == 135.0


def test_it_does_not_go_back():
    with pytest.raises(ValueError, match="does not go back: -1"):
        VirtualClock().advance(-1.0)


async def test_the_systems_clock_goes_on():
    clock = SystemClock()
    before_s = clock.monotonic_s()
    await clock.sleep(-1.0)
    assert clock.monotonic_s() >= before_s
    assert clock.wall_s() > 1.6e9
