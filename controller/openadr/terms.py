"""How the events of a programme are understood: by what its VTN says of it, and what is configured of that VTN."""

from __future__ import annotations

from controller.openadr.events import Terms
from controller.openadr.messages import Program
from controller.openadr.specs import VenSpec


def terms_of(spec: VenSpec, program: Program) -> Terms:
    """The terms of a programme that is followed."""
    return Terms(
        source=spec.source,
        programme=spec.programmes[program.name],
        own=spec.own,
        descriptors=program.descriptors,
        alerts=spec.alerts,
        relative_sheds=spec.relative_sheds,
        usd_per_unit=spec.usd_per_unit,
        zone_s=program.zone_s,
        percent_levels=spec.percent_levels,
    )
