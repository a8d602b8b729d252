"""Limits on GPUs: `plan.pools.NAME.clocks`, and the zeusd that sets them: `controller.zeusd`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from controller.model.gpu_limit import When
from controller.settings.power.gpus import ZeusdUrl
from controller.settings.power.source import HttpSource, Text
from router.settings import Group


class ClockSettings(Group):
    """A limit on the GPUs of a pool; one of the two figures."""

    power_limit_w: Annotated[float, Field(gt=0, le=5000, allow_inf_nan=False)] | None = None
    """Power limit of each GPU."""
    max_clock_mhz: Annotated[int, Field(ge=100, le=10_000)] | None = None
    """Highest clock of each GPU's cores. It cannot be read back."""
    when: When
    """fixed: as long as the controller acts on the pool; measure the pool's curves with it. over_limit: as a last
    means, from when the site draws more than an event allows and no instance is on its way, until no event is in
    force."""

    @model_validator(mode="after")
    def _one(self) -> ClockSettings:
        if (self.power_limit_w is None) is (self.max_clock_mhz is None):
            raise ValueError("write power_limit_w or max_clock_mhz, one of them")
        return self


class ZeusdControlSettings(HttpSource):
    """A zeusd that may set limits: it runs with the API groups gpu-control and gpu-read."""

    url: ZeusdUrl
    """unix:/PATH of its socket, or http://HOST:4938."""
    gpu_uuids: Annotated[tuple[Text, ...], Field(min_length=1)]
    """UUIDs of its GPUs in the order of their indices, as nvidia-smi -L prints them."""

    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""
        return (self.url,)


def refuse_limits(gpus: dict[str, list[str]], daemons: tuple[ZeusdControlSettings, ...]) -> None:
    """Look at the limits of all pools together.

    Args:
        gpus: UUIDs of each pool that has a limit; none of one that names none.
        daemons: that set them.

    Raises:
        ValueError: nobody could set one, or two would set it.
    """
    served = [uuid for daemon in daemons for uuid in daemon.gpu_uuids]
    twins = sorted({uuid for uuid in served if served.count(uuid) > 1})
    if twins:
        raise ValueError(f"controller.zeusd: {', '.join(map(repr, twins[:3]))} appears more than once")
    for pool, uuids in gpus.items():
        if not uuids:
            raise ValueError(f"plan.pools.{pool}.clocks needs plan.pools.{pool}.gpu_uuids: limits are set GPU by GPU")
        absent = [uuid for uuid in uuids if uuid not in served]
        if absent:
            raise ValueError(
                f"plan.pools.{pool}.clocks: no controller.zeusd has the GPU {absent[0]}; add the zeusd of its machine"
            )
