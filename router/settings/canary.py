"""Which requests the router keeps for the controller's canaries."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from router.settings.fields import Group


class SampleSettings(Group):
    """Deterministic requests kept in memory for canaries, shown on the admin port only."""

    frac: Annotated[float, Field(gt=0, le=0.005)] = 0.005
    """Share of the requests that are looked at; of these the short ones with temperature 0 or top_k 1, one answer and
    no tools are kept."""
    max_body_bytes: Annotated[int, Field(ge=64, le=65_536)] = 16_384
    """Largest body kept."""
    keep: Annotated[int, Field(ge=1, le=256)] = 16
    """Requests that each worker keeps, the newest."""
