"""The section `site`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.settings.fields import Watts
from router.settings import Group, Name


class SiteSettings(Group):
    """The metering point."""

    name: Name = "site"
    gpus: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """GPUs installed. Absent: those that the instances occupy."""
    pue: Annotated[float, Field(ge=1, le=3)] = 1.0
    """Facility power over IT power."""
    aux_w: Watts = 0.0
    """Constant load behind the same meter that is not GPUs."""
    spare_gpu_w: Watts = 0.0
    """Power of an installed GPU that no instance occupies."""
    import_limit_w: Watts | None = None
    """Standing limit on the site's import. Absent: none."""
