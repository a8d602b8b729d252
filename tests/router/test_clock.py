import datetime

from router import clock


def test_wall_time_counts_from_the_epoch() -> None:
    now = datetime.datetime.now(datetime.UTC).timestamp()
    assert abs(clock.wall_s() - now) < 3600


def test_monotonic_time_never_goes_back() -> None:
    readings = [clock.monotonic_s() for _ in range(100)]
    assert readings == sorted(readings)
