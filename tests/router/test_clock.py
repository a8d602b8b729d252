import datetime

import pytest

from router import clock


def test_wall_time_counts_from_the_epoch() -> None:
    now = datetime.datetime.now(datetime.UTC).timestamp()
    assert abs(clock.wall_s() - now) < 3600


def test_monotonic_time_never_goes_back() -> None:
    readings = [clock.monotonic_s() for _ in range(100)]
    assert readings == sorted(readings)


def test_a_steady_clock_is_not_set_with_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = clock.steady(clock.epoch_s())
    before_s = shown()
    monkeypatch.setattr(clock, "wall_s", lambda: 0.0)
    assert 0.0 <= shown() - before_s < 60.0
    assert abs(before_s - datetime.datetime.now(datetime.UTC).timestamp()) < 60.0
