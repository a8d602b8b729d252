"""A token bucket. Pure; time is an argument."""

from __future__ import annotations

ROUNDING = 1e-6
"""What may be lacking of an amount: who waits exactly as long as told finds it, whatever the clock's last digits. It
is taken all the same, so that it never adds up."""


class Bucket:
    """Lets `capacity` pass at once and `per_s` in the long run: at most ``capacity + per_s * t`` in any time t.

    The level may go below zero, where more was taken than was there; it then takes longer until something passes
    again, so that the bound holds in the long run whatever is corrected afterwards.

    Attributes:
        capacity: most that can be there.
        per_s: what is added a second.
        level: what is there, as of the last call of `wait_s`; who takes an amount subtracts it.
    """

    __slots__ = ("_as_of_s", "capacity", "level", "per_s")

    def __init__(self, *, capacity: float, per_s: float) -> None:
        self.capacity = capacity
        self.per_s = per_s
        self.level = capacity
        self._as_of_s: float | None = None

    def wait_s(self, amount: float, now_s: float) -> float:
        """Time until `amount` may be taken, 0 if it may be now; of more than the capacity, until the bucket is full.

        A clock that goes back adds nothing, and takes nothing away.
        """
        as_of_s = self._as_of_s
        self._as_of_s = now_s
        level = self.level
        if as_of_s is not None and now_s > as_of_s:
            level += (now_s - as_of_s) * self.per_s
            if level > self.capacity:
                level = self.capacity
            self.level = level
        if amount > self.capacity:
            amount = self.capacity
        return 0.0 if level + ROUNDING >= amount else (amount - level) / self.per_s

    def give(self, amount: float) -> None:
        """Give back something that was taken and not used; never beyond the capacity. Less than 0 takes more."""
        level = self.level + amount
        self.level = self.capacity if level > self.capacity else level

    def full_in_s(self) -> float:
        """Time until it is full again."""
        return (self.capacity - self.level) / self.per_s

    def resize(self, *, capacity: float, per_s: float) -> None:
        """Other limits from now on; what was taken stays taken."""
        self.level += capacity - self.capacity
        self.capacity = capacity
        self.per_s = per_s
