"""Whether this machine's clock is right, by its kernel and by the time servers that were asked; pure but for its types.

What is not known is a state of its own, and no offset of zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controller.signals.kernel_clock import KernelClock
from controller.signals.sntp import Offset

KERNEL_MOST_S = 16.0
"""A bound of the kernel's as large as this is none: it counts as not synchronised (NTP_PHASE_LIMIT)."""


class ClockState(StrEnum):
    """How the clock stands."""

    RIGHT = "right"
    OFF = "off"
    """Further from true time than it may be."""
    UNSYNCHRONISED = "unsynchronised"
    """No time service keeps it."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClockWatch:
    """How the clock is watched.

    Attributes:
        servers: time servers that are asked, none for no offset.
        most_off_s: the clock is off where its offset is larger.
    """

    servers: tuple[str, ...] = ()
    poll_s: float = 64.0
    timeout_s: float = 2.0
    most_off_s: float = 1.0


@dataclass(frozen=True, slots=True)
class ClockView:
    """What is known of the clock.

    Attributes:
        reason: what the state follows from.
        offset_s: this clock less true time, as time servers tell it; None where it is not known.
        bound_s: largest error of that; None likewise.
        max_error_s: bound of the clock's error that the machine's time service vouches for; None likewise.
        steps: how many times the clock was set while the controller ran.
        calls_by_former_course: calls that hold by a former course of the clock as well.
    """

    state: ClockState = ClockState.UNKNOWN
    reason: str = "not looked at yet"
    offset_s: float | None = None
    bound_s: float | None = None
    max_error_s: float | None = None
    estimated_error_s: float | None = None
    steps: int = 0
    calls_by_former_course: int = field(default=0)


def judge(kernel: KernelClock | None, offset: Offset | None, most_off_s: float) -> tuple[ClockState, str]:
    """How the clock stands, and why: what was measured counts more than what the kernel was told.

    Args:
        kernel: None where it cannot be asked.
        offset: the last that is fresh; None without one.
        most_off_s: largest offset of a clock that is right.
    """
    if offset is not None:
        told = f"{offset.offset_s:+.3f} s off by {', '.join(offset.servers)}, give or take {offset.bound_s:.3f} s"
        if abs(offset.offset_s) - offset.bound_s > most_off_s:
            return ClockState.OFF, told
        if abs(offset.offset_s) + offset.bound_s <= most_off_s:
            return ClockState.RIGHT, told
    if kernel is None:
        return ClockState.UNKNOWN, "neither the kernel nor a time server says how far the clock is off"
    if not kernel.is_synchronised or kernel.max_error_s >= KERNEL_MOST_S:
        return ClockState.UNSYNCHRONISED, "no time service keeps the clock of this machine; run chrony or another one"
    told = f"the machine's time service estimates {kernel.estimated_error_s:.3f} s, at most {kernel.max_error_s:.3f} s"
    return ClockState.OFF if kernel.estimated_error_s > most_off_s else ClockState.RIGHT, told
