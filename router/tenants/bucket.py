"""A token bucket. Pure; time is an argument."""

from __future__ import annotations

from typing import Protocol

ROUNDING = 1e-6
"""What may be lacking of an amount: who waits exactly as long as told finds it, whatever the clock's last digits. It
is taken all the same, so that it never adds up."""
CROSSING_S = 5.0
"""Calls whose times go back by less have crossed on their way from several workers, each of which had read the clock
before; a larger step back is the clock's."""
LEVELS = 2
"""Numbers that `Bucket.write` writes."""


class Levels(Protocol):
    """Memory for numbers."""

    def __getitem__(self, index: int, /) -> float:
        """Read one."""

    def __setitem__(self, index: int, number: float, /) -> None:
        """Write one."""


class Bucket:
    """Lets `capacity` pass at once and `per_s` in the long run: at most ``capacity + per_s * t`` in any time t.

    More may be used than the capacity, where more was taken than was there; it then takes longer until something passes
    again, so that the bound holds in the long run whatever is corrected afterwards.

    Attributes:
        capacity: most that can be there.
        per_s: what is added a second.
        used: what is missing of the capacity, as of the last call of `wait_s`; who takes an amount adds it.
    """

    __slots__ = ("_as_of_s", "capacity", "per_s", "used")

    def __init__(self, *, capacity: float, per_s: float) -> None:
        self.capacity = capacity
        self.per_s = per_s
        self.used = 0.0
        self._as_of_s = 0.0

    def wait_s(self, amount: float, now_s: float) -> float:
        """Time until `amount` may be taken, 0 if it may be now; more than the capacity never may.

        A clock that goes back adds nothing, and takes nothing away.
        """
        used = self.used
        passed_s = now_s - self._as_of_s
        if passed_s > 0.0:
            self._as_of_s = now_s
            if used > 0.0:
                used -= passed_s * self.per_s
                if used < 0.0:
                    used = 0.0
                self.used = used
        elif passed_s < -CROSSING_S:
            self._as_of_s = now_s
        lacking = used + amount - self.capacity
        return lacking / self.per_s if lacking > ROUNDING else 0.0

    def give(self, amount: float) -> None:
        """Give back something that was taken and not used; never beyond the capacity. Less than 0 takes more."""
        used = self.used - amount
        self.used = used if used > 0.0 else 0.0

    def left(self) -> float:
        """What is there, as of the last call of `wait_s`; below 0 where more was taken."""
        return self.capacity - self.used

    def full_in_s(self) -> float:
        """Time until it is full again."""
        return self.used / self.per_s

    def resize(self, *, capacity: float, per_s: float) -> None:
        """Other limits from now on; what was taken stays taken."""
        self.capacity = capacity
        self.per_s = per_s

    def read(self, levels: Levels, first: int) -> None:
        """Go on where another bucket has been written; two zeros are a full one, of whatever capacity."""
        self.used = levels[first]
        self._as_of_s = levels[first + 1]

    def write(self, levels: Levels, first: int) -> None:
        """Write what is used, and as of when, for another to go on with.

        The time comes first: what is killed between the two has lost what that time adds, and nobody adds it twice.
        """
        levels[first + 1] = self._as_of_s
        levels[first] = self.used
