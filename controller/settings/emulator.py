"""The section `emulator`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.settings.fields import Frac
from router.contract import Precision
from router.settings import Group, Name, Port


class EmulatorSettings(Group):
    """The emulated engines and GPUs, for trying the system without hardware."""

    control_host: str = "127.0.0.1"
    control_port: Port = 9400
    """GPU metrics as a dcgm-exporter serves them, and the switches of the instances."""
    seed: int = 0
    """Seed of the emulated answers."""
    initially_on: dict[Name, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Instances of a pool that serve at the start, the others sleep. Absent: all serve."""
    disagreement_frac: dict[Precision, Frac] = Field(
        default_factory=lambda: {Precision.FP8: 0.04, Precision.INT8: 0.04, Precision.INT4: 0.1}
    )
    """Share of greedy answers (temperature 0) that part from those of other precisions, by precision. Absent
    precisions: none. No measurement: a lower precision's answers do part, and canaries must bear that."""
