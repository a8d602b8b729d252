"""Mean power and a growing energy from the energy counter of one GPU; pure.

Sampled power covers a quarter of the time on A100 and H100 (arXiv 2312.02741), the energy counter all of it. So power
is the difference of two counter values over two seconds or more.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

WRAP_64_J = 2**64 / 1000.0
"""Where a counter of 64 bit in millijoule begins anew."""
WRAP_32_J = 2**32 / 1000.0
"""The same for 32 bit: after 100 minutes at 700 W."""
DEFAULT_BOUND_W = 3000.0
"""More than any GPU draws."""
_BOUND_PER_LIMIT = 1.2
"""A board exceeds its limit for moments, not by a fifth over seconds."""
_LATE_S = 5.0
"""A point that is older than the last one by no more than this came late; one older still means that the clock went
back."""
_LEAST_SPACING_FRAC = 0.01
"""Points that are nearer than this share of the window are one, so that a fast source needs no more memory."""


def power_bound_w(limit_w: float | None) -> float:
    """Power, in W, from which on a value is a fault of the sensor: 1.2 times the GPU's limit, where that is known."""
    return _BOUND_PER_LIMIT * limit_w if limit_w else DEFAULT_BOUND_W


class CounterEvent(StrEnum):
    """What was unusual about a point."""

    RESET = "reset"
    """The counter went back to a beginning: the driver was loaded again."""
    WRAP = "wrap"
    """The counter passed its largest value."""
    JUMP = "jump"
    """The counter moved by more than the GPU can draw; its move is not counted."""
    CLOCK = "clock"
    """The clock went back."""
    LATE = "late"
    """The point is older than the one before and is left out."""


@dataclass(frozen=True, slots=True)
class CounterOptions:
    """How a counter is read.

    Attributes:
        window_s: shortest time over which power is averaged: two seconds less the jitter of a tick of that length.
        max_window_s: longest one; a source that refreshes more seldom than this has no power, only energy.
        bound_w: power that the GPU cannot reach, from `power_bound_w`.
        wrap_j: where the counter begins anew; None if it never does.
    """

    window_s: float = 1.9
    max_window_s: float = 60.0
    bound_w: float = DEFAULT_BOUND_W
    wrap_j: float | None = WRAP_64_J

    def __post_init__(self) -> None:
        if not 0 < self.window_s <= self.max_window_s:
            raise ValueError(f"window_s {self.window_s} must be above 0 and at most max_window_s {self.max_window_s}")
        if not self.bound_w > 0:
            raise ValueError(f"bound_w {self.bound_w} must be above 0")


@dataclass(frozen=True, slots=True)
class CounterReading:
    """What is known after a point.

    Attributes:
        power_w: mean over `window_s` or more before `moved_at_s`; None while one point is known, after a reset, a jump
            or a clock that went back.
        energy_j: only grows; equals the counter until the counter is reset or jumps.
        moved_at_s: when the counter last moved, on the clock of the points: a counter that stands still is an old
            reading.
        event: what was unusual, None if nothing.
    """

    power_w: float | None
    energy_j: float
    moved_at_s: float
    event: CounterEvent | None = None


class EnergyCounter:
    """Follows the counter of one GPU from point to point.

    Times are of any one clock. A monotonic one is better: a wall clock set forward makes one window too long, and its
    power too low.
    """

    def __init__(self, options: CounterOptions | None = None) -> None:
        self._options = options or CounterOptions()
        self._points: deque[tuple[float, float]] = deque()
        """(time, grown energy) at which the counter moved, oldest first."""
        self._counter_j: float | None = None
        self._energy_j = 0.0
        self._before_jump: tuple[float, float] | None = None
        """Last point before a jump: a single wrong value is followed by one that continues from there."""

    def take(self, observed_at_s: float, counter_j: float) -> CounterReading:
        """Take in a point: the counter's value in J, and when it was read.

        Raises:
            ValueError: the value is negative or not finite. Blanks of a source are for its reader to drop.
        """
        if not (math.isfinite(counter_j) and counter_j >= 0 and math.isfinite(observed_at_s)):
            raise ValueError(f"an energy counter of {counter_j} J at {observed_at_s} s is no point")
        if self._counter_j is None:
            self._energy_j = counter_j
            return self._restart(observed_at_s, counter_j, None)
        last_s = self._points[-1][0]
        if observed_at_s < last_s:
            return self._back_in_time(observed_at_s, counter_j)
        if counter_j == self._counter_j:
            return self._reading(None)
        step_j, event = self._step(counter_j, observed_at_s)
        if event is CounterEvent.JUMP and self._before_jump is None:
            self._before_jump = (last_s, self._counter_j)
        elif event is not CounterEvent.JUMP or step_j > 0:
            self._before_jump = None
        if event in (CounterEvent.RESET, CounterEvent.JUMP):
            self._energy_j += step_j
            return self._restart(observed_at_s, counter_j, event)
        return self._advance(observed_at_s, counter_j, step_j, event)

    def _back_in_time(self, observed_at_s: float, counter_j: float) -> CounterReading:
        last_s, _ = self._points[-1]
        counted_j = self._counter_j or 0.0
        if counter_j <= counted_j and last_s - observed_at_s <= _LATE_S:
            return self._reading(CounterEvent.LATE)
        # How much time passed is unknown, so no bound judges the growth, but no more than a window's is believed.
        growth_j = counter_j - counted_j
        if 0 <= growth_j <= self._options.bound_w * self._options.max_window_s:
            self._energy_j += growth_j
        return self._restart(observed_at_s, counter_j, CounterEvent.CLOCK)

    def _step(self, counter_j: float, observed_at_s: float) -> tuple[float, CounterEvent | None]:
        """Energy since the last point and what it means."""
        last_j = self._counter_j or 0.0
        most_j = self._most_j(observed_at_s - self._points[-1][0])
        if counter_j > last_j:
            return (counter_j - last_j, None) if counter_j - last_j < most_j else (0.0, CounterEvent.JUMP)
        if self._before_jump is not None:
            before_s, before_j = self._before_jump
            if 0 <= counter_j - before_j < self._most_j(observed_at_s - before_s):
                return counter_j - before_j, CounterEvent.JUMP
        wrap_j = self._options.wrap_j
        if wrap_j is not None and last_j < wrap_j and wrap_j - last_j + counter_j < most_j:
            return wrap_j - last_j + counter_j, CounterEvent.WRAP
        if counter_j < most_j:  # counted since the driver was loaded, which was after the last point
            return counter_j, CounterEvent.RESET
        return 0.0, CounterEvent.JUMP

    def _most_j(self, gap_s: float) -> float:
        """More than the GPU draws in that time.

        A source refreshes its counter at its own pace, so that two values read shortly after another may lie a window
        apart; the bound grants that much.
        """
        return self._options.bound_w * (gap_s + self._options.window_s)

    def _advance(
        self, observed_at_s: float, counter_j: float, step_j: float, event: CounterEvent | None
    ) -> CounterReading:
        before_j = self._energy_j
        self._counter_j = counter_j
        self._energy_j += step_j
        points, options = self._points, self._options
        if len(points) > 1 and observed_at_s - points[-2][0] < _LEAST_SPACING_FRAC * options.window_s:
            points.pop()
        points.append((observed_at_s, self._energy_j))
        while len(points) > 1 and observed_at_s - points[1][0] >= options.window_s:
            points.popleft()
        reading = self._reading(event)
        if reading.power_w is not None and reading.power_w >= options.bound_w:
            self._energy_j = before_j
            return self._restart(observed_at_s, counter_j, CounterEvent.JUMP)
        return reading

    def _restart(self, observed_at_s: float, counter_j: float, event: CounterEvent | None) -> CounterReading:
        self._counter_j = counter_j
        self._points.clear()
        self._points.append((observed_at_s, self._energy_j))
        return self._reading(event)

    def _reading(self, event: CounterEvent | None) -> CounterReading:
        first_s, first_j = self._points[0]
        last_s, last_j = self._points[-1]
        power_w = None
        if self._options.window_s <= last_s - first_s <= self._options.max_window_s:
            power_w = (last_j - first_j) / (last_s - first_s)
        return CounterReading(power_w, self._energy_j, last_s, event)
