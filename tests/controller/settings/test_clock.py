import pytest
from pydantic import ValidationError

from controller.loop.clock_judge import ClockWatch
from controller.settings.clock import ClockSettings


def test_nobody_is_asked_unless_a_server_is_named():
    assert ClockSettings().watch() == ClockWatch()
    told = ClockSettings(servers=("time.example.org", "[2001:db8::1]:124"), most_off_s=0.5, poll_s=32)
    assert told.watch() == ClockWatch(("time.example.org", "[2001:db8::1]:124"), 32.0, 2.0, 0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"servers": ["time.example.org:ntp"]},
        {"servers": ["a"] * 9},
        {"poll_s": 1},
        {"timeout_s": 0},
        {"most_off_s": 0},
        {"server": "a"},
    ],
)
def test_what_no_clock_can_be_watched_by_is_refused(wrong):
    with pytest.raises(ValidationError):
        ClockSettings.model_validate(wrong)
