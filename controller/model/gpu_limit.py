"""A limit on what the GPUs of a pool may draw or how fast they may run, when it is set, and what they had before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from router.contract import PoolId

TOLERANCE_W = 1.0
"""Power limits that differ by less are the same."""


class When(StrEnum):
    """When a limit is set."""

    FIXED = "fixed"
    """As long as the controller acts; the pool's curves were measured with it."""
    OVER_LIMIT = "over_limit"
    """As a last means, from when the site draws too much within an event until that ends."""


@dataclass(frozen=True, slots=True)
class GpuLimit:
    """The limit of one pool's GPUs; one of the two figures is set.

    Attributes:
        gpu_uuids: of all its instances.
        power_limit_w: of each GPU.
        max_clock_mhz: highest clock of each GPU's cores.
    """

    pool_id: PoolId
    gpu_uuids: tuple[str, ...]
    when: When
    power_limit_w: float | None = None
    max_clock_mhz: int | None = None

    @property
    def told(self) -> str:
        """The limit as a reader has it."""
        return f"{self.max_clock_mhz} MHz" if self.power_limit_w is None else f"{self.power_limit_w:g} W"


@dataclass(frozen=True, slots=True)
class Found:
    """What a GPU had before a controller limited it.

    Attributes:
        power_limit_w: None where its clocks were locked instead.
        ours_w: power limits that controllers have set since; () where that was not kept.
    """

    gpu_uuid: str
    power_limit_w: float | None
    ours_w: tuple[float, ...] = ()

    def and_ours(self, limit_w: float) -> Found:
        """The same, once a controller sets this limit."""
        return self if _is_among(limit_w, self.ours_w) else replace(self, ours_w=(*self.ours_w, limit_w))

    def may_be_ours(self, held_w: float) -> bool:
        """Whether a limit that the GPU has may be one that a controller has set."""
        return not self.ours_w or _is_among(held_w, self.ours_w)

    def is_as_found(self, held_w: float) -> bool:
        """Whether the GPU has what it had."""
        return self.power_limit_w is not None and _is_among(held_w, (self.power_limit_w,))

    def going_on_from(self, theirs: Found) -> Found:
        """What it had, where another controller found `theirs` later.

        That one goes before, as the GPU may have been given back and changed meanwhile; but one that was not told of
        this has found what a controller had set, and the true limit is this one's.
        """
        held_w = theirs.power_limit_w
        if held_w is None or self.is_as_found(held_w) or not (self.ours_w and self.may_be_ours(held_w)):
            return theirs
        return replace(self, ours_w=(*self.ours_w, *(each for each in theirs.ours_w if each not in self.ours_w)))


def _is_among(limit_w: float, limits_w: tuple[float, ...]) -> bool:
    return any(abs(limit_w - each) <= TOLERANCE_W for each in limits_w)
