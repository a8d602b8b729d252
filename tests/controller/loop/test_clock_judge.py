import pytest

from controller.loop.clock_judge import ClockState, judge
from controller.signals.kernel_clock import KernelClock
from controller.signals.sntp import Offset

KEPT, LOOSE, OFF = KernelClock(True, 0.02, 0.001), KernelClock(False, 16.0, 16.0), KernelClock(True, 5.0, 3.0)


def measured(offset_s, bound_s=0.01):
    return Offset(offset_s, bound_s, 0.0, ("time",))


@pytest.mark.parametrize(
    ("kernel", "offset", "state"),
    [
        (None, None, ClockState.UNKNOWN),
        (KEPT, None, ClockState.RIGHT),
        (LOOSE, None, ClockState.UNSYNCHRONISED),
        (KernelClock(True, 16.0, 0.0), None, ClockState.UNSYNCHRONISED),
        (OFF, None, ClockState.OFF),
        (KEPT, measured(12.0), ClockState.OFF),
        (KEPT, measured(-12.0), ClockState.OFF),
        (LOOSE, measured(0.1), ClockState.RIGHT),
        (None, measured(0.1), ClockState.RIGHT),
        (None, measured(0.1, 5.0), ClockState.UNKNOWN),
        (KEPT, measured(0.1, 5.0), ClockState.RIGHT),
    ],
)
def test_what_was_measured_counts_more_than_what_the_kernel_was_told(kernel, offset, state):
    assert judge(kernel, offset, 1.0)[0] is state


def test_the_reason_names_who_was_asked_and_what_to_do():
    assert "+12.000 s off by time" in judge(KEPT, measured(12.0), 1.0)[1]
    assert "run chrony" in judge(LOOSE, None, 1.0)[1]
