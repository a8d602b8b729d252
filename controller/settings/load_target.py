"""The section `load_target`: on which terms load targets are followed."""

from __future__ import annotations

from controller.settings.programmes import OPERATOR
from router.settings import Group, Name


class LoadTargetSettings(Group):
    """Targets that a facility's power manager sets over HTTP."""

    programme: Name = OPERATOR
    """Whose terms hold: bounds, ramp, precedence, restore. Absent: the built-in programme."""
