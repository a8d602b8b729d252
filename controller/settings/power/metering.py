"""What the settings of all meters have in common: what of the site they see, and how far off they may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.settings.fields import Watts
from controller.settings.site import SiteSettings
from controller.signals.power.meter_scope import MeterScope
from router.settings import Group


class Metering(Group):
    """What a meter sees."""

    meters: Literal["site", "it"] = "site"
    """site: all at the metering point. it: the machines alone; the site draws `site.pue` times that, and `aux_w`."""
    aux_w: Watts | None = None
    """With `meters: it`: constant load at the metering point that neither the meter sees nor `site.pue` stands for. It
    must be written where there is a `site.aux_w`: that holds their processors and fans, which the meter sees."""
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
        return MeterScope(self.meters == "it", self.aux_w or 0.0, self.error_frac)


def refuse_unknown_rest(meters: Sequence[Metering], site: SiteSettings) -> None:
    """Look at what stands for the part of the site that a meter of its machines does not see.

    Raises:
        ValueError: the file does not say how much that is, and what is assumed elsewhere would be wrong.
    """
    for place, meter in enumerate(meters):
        if meter.meters == "site":
            continue
        if "pue" not in site.model_fields_set:
            raise ValueError(
                f"signals.meter.{place} sees the machines alone: write site.pue, by which the site draws more; 1 where "
                "nothing cools or feeds them behind the metering point, or meters: site where all is metered"
            )
        if meter.aux_w is None and site.aux_w > 0:
            raise ValueError(
                f"signals.meter.{place}.aux_w is absent: write how much of the site's constant {site.aux_w:g} W "
                "(site.aux_w) the meter does not see; 0 where that is the machines' own processors and fans"
            )
