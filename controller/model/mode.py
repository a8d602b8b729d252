"""How far the controller goes, for all and pool by pool."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """How far a decision reaches.

    Attributes:
        OBSERVE: plans are made and recorded; no table is published and no instance is touched.
        RECOMMEND: as OBSERVE, and what would be done to the instances is told.
        ACT: tables are published and instances are commanded.
    """

    OBSERVE = "observe"
    RECOMMEND = "recommend"
    ACT = "act"

    def within(self, other: Mode) -> Mode:
        """The lesser of both."""
        return min(self, other, key=tuple(Mode).index)
