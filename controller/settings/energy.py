"""The section `energy`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.energy.attribution import IdlePolicy
from router.settings import Group


class EnergySettings(Group):
    """How energy is told off to requests; see docs/reference/energy.md."""

    idle: IdlePolicy = IdlePolicy.SHARED
    """What becomes of the energy that instances draw whether they serve or not. shared: the requests of the moment bear
    that of their pool, in proportion to their active energy. kept: an account of its own."""
    settle_s: Annotated[float, Field(ge=10, le=3600)] = 60.0
    """Time between two records in the ledger; tenants share what was used in it."""
