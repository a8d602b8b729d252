"""What a price or carbon feed is to the controller, and the two that need nothing from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controller.model.grid import Series, SeriesQuality
from controller.model.observation import Missing


class Feed(Protocol):
    """A price or carbon series that is known for some time ahead."""

    def read(self, now_s: float) -> Series | Missing:
        """What is known from now on."""


@dataclass(frozen=True, slots=True)
class ConstantFeed:
    """A value that never changes."""

    value: float
    unit: str
    lookahead_s: float = 86_400.0

    def read(self, now_s: float) -> Series | Missing:
        """The value, for the time ahead."""
        return Series(
            (now_s,), (self.value,), now_s + self.lookahead_s, self.unit, "constant", None, SeriesQuality.CONSTANT
        )


@dataclass(frozen=True, slots=True)
class AbsentFeed:
    """No feed is configured."""

    name: str

    def read(self, now_s: float) -> Series | Missing:
        """Always missing."""
        return Missing(self.name, f"no feed is configured in signals.{self.name}", now_s)
