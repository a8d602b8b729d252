"""A limit on what the GPUs of a pool may draw or how fast they may run, and when it is set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from router.contract import PoolId


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
