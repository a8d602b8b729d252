"""Scenario file of the kind `sensitivity`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.study.settings import Frac, Group, NotNegative, Text

Days = Annotated[float, Field(ge=0, le=31)]
Scale = Annotated[float, Field(ge=0, le=100)]


class VarySettings(Group):
    """Values that are tried, one at a time; everything else stays as the fleet's scenario says."""

    reward_usd_per_mwh: tuple[NotNegative, ...] = ()
    """Of every programme."""
    carbon_usd_per_kg: tuple[NotNegative, ...] = ()
    quality_budget_scale: tuple[Scale, ...] = ()
    """Times every class's budget."""
    daily_frac: tuple[Frac, ...] = ()
    """Height of every class's daily wave: the shape of the workload."""
    start_usd: tuple[NotNegative, ...] = ()
    """Cost of every start, beside its energy."""
    error_at_day_frac: tuple[Frac, ...] = ()
    """Error of the demand forecast a day ahead."""


class SensitivitySettings(Group):
    """A scenario of the kind `sensitivity`."""

    kind: Literal["sensitivity"]
    title: Text
    of: Text
    """Scenario of the kind `fleet`: a file, or the name of a shipped one."""
    first_day: Days = 0.0
    """Beginning, days after the fleet's."""
    days: Annotated[float, Field(gt=0, le=31)] = 1.0
    vary: VarySettings

    @model_validator(mode="after")
    def _varies(self) -> SensitivitySettings:
        if not any(getattr(self.vary, name) for name in VarySettings.model_fields):
            raise ValueError(f"vary names no values; give some to {', '.join(VarySettings.model_fields)}")
        return self
