"""What the settings of all meters have in common: what of the site they see, and how far off they may be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.settings.fields import Watts
from controller.signals.power.meter_scope import MeterScope
from router.settings import Group


class Metering(Group):
    """What a meter sees."""

    meters: Literal["site", "it"] = "site"
    """site: all at the metering point. it: the machines alone; the site draws `site.pue` times that, and `aux_w`."""
    aux_w: Watts | None = None
    """With `meters: it`: constant load at the metering point that the meter does not see. Absent: `site.aux_w`. A meter
    of whole machines sees their processors and fans: write what is left without them."""
    error_frac: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Share by which it may be off, with that of `site.pue` where it goes by one: at least that much of a limit is kept
    free while it is in force. Absent: `plan.meter_error_frac`."""

    @model_validator(mode="after")
    def _aux_has_machines(self) -> Metering:
        if self.aux_w is not None and self.meters == "site":
            raise ValueError("aux_w is added to what machines draw; write meters: it, or drop it where all is metered")
        return self

    def scope(self) -> MeterScope:
        """What it sees."""
        return MeterScope(self.meters == "it", self.aux_w, self.error_frac)
