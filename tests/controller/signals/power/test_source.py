import pytest

from controller.signals.power.source import believed_s

NOW_S = 1000.0


def test_a_source_whose_clock_is_a_little_ahead_is_believed_but_never_in_the_future():
    assert believed_s(NOW_S + 2, NOW_S) == NOW_S
    assert believed_s(NOW_S - 30, NOW_S) == NOW_S - 30


def test_a_source_far_in_the_future_is_not_believed():
    with pytest.raises(ValueError, match="60 s ahead of this machine's; keep both by NTP"):
        believed_s(NOW_S + 60, NOW_S)
