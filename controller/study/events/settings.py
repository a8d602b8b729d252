"""Scenario file of the kind `events`: from what the random calls and fleets are drawn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.study.settings import Group, Seconds, Seed, Text

Depth = Annotated[float, Field(gt=0, lt=1)]
_PREPARES_S = 60.0
MinutesOf = Annotated[float, Field(ge=1, le=24 * 60)]


class DepthSettings(Group):
    """How much less than the baseline a call asks for."""

    least_frac: Depth = 0.05
    most_frac: Depth = 0.40

    @model_validator(mode="after")
    def _ordered(self) -> DepthSettings:
        if self.least_frac > self.most_frac:
            raise ValueError(f"least_frac {self.least_frac:g} is more than most_frac {self.most_frac:g}; swap them")
        return self


class LengthSettings(Group):
    """How long a call lasts; as many between 5 and 10 minutes as between 50 and 100."""

    least_min: MinutesOf = 5.0
    most_min: MinutesOf = 600.0

    @model_validator(mode="after")
    def _ordered(self) -> LengthSettings:
        if self.least_min > self.most_min:
            raise ValueError(f"least_min {self.least_min:g} is more than most_min {self.most_min:g}; swap them")
        return self


class EventsStudySettings(Group):
    """A scenario of the kind `events`."""

    kind: Literal["events"]
    title: Text
    seed: Seed = 0
    """Event n is drawn from this seed and n alone: it is the same whatever else is run."""
    events: Annotated[int, Field(ge=1, le=10_000)] = 200
    depth: DepthSettings = DepthSettings()
    length: LengthSettings = LengthSettings()
    notice_s: Annotated[tuple[Annotated[float, Field(ge=0, le=86_400)], ...], Field(min_length=1, max_length=16)] = (
        0.0,
        600.0,
        1800.0,
        7200.0,
    )
    """Classes of notice; half of the calls have one of these, half any time up to the longest."""
    ramp_s: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=16)] = (30.0, 60.0, 120.0, 300.0)
    """Time after the start by which the limit is to be kept; at most half of the call's length."""
    pools: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1, max_length=8)] = (2, 3, 4)
    """Numbers of pools of a fleet."""
    baseline_s: Annotated[float, Field(ge=300, le=86_400)] = 1800.0
    """The baseline is the mean of so long before the preparation, which is a minute before the start."""
    before_s: Annotated[float, Field(ge=600, le=86_400)] = 2700.0
    """Least time played before a call's start: its baseline, and a quarter of an hour to find the fleet's size."""
    after_s: Annotated[float, Field(ge=60, le=86_400)] = 1200.0
    """Time played after a call's end."""
    tick_s: Annotated[float, Field(ge=1, le=60)] = 10.0
    """Time between two decisions round the start, the ramp and the end of a call."""
    calm_ticks: Annotated[int, Field(ge=1, le=30)] = 3
    """Of so many ticks one is decided at other times; the last table stands meanwhile."""
    settlement_interval_s: Annotated[float, Field(ge=60, le=3600)] = 300.0

    @model_validator(mode="after")
    def _reaches_back(self) -> EventsStudySettings:
        if self.before_s < self.baseline_s + _PREPARES_S:
            raise ValueError(
                f"before_s {self.before_s:g} does not hold baseline_s {self.baseline_s:g} and the preparation of "
                f"{_PREPARES_S:g} s; lengthen it"
            )
        return self
