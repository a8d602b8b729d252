"""What reports are made from: measurements, baselines, limits and forecasts of the time that they cover."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.capability import QosCost
from controller.model.derate import Derates
from controller.model.grid import GridEvent
from controller.model.meter import Mean


@dataclass(frozen=True, slots=True)
class Expected:
    """Power that is expected, or would have been, over [start_s, end_s), W."""

    start_s: float
    end_s: float
    power_w: float


@dataclass(frozen=True, slots=True)
class Shed:
    """What can be shed.

    Attributes:
        horizon_s: time from now after which it can be had in full.
        shed_w: how much.
        duration_s: for how long; None without end.
        cost: to those who are served.
    """

    horizon_s: float
    shed_w: float
    duration_s: float | None = None
    cost: QosCost = QosCost.NONE


@dataclass(frozen=True, slots=True)
class LevelSpan:
    """A level that was called for over [start_s, end_s)."""

    start_s: float
    end_s: float
    level: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How one call stands.

    Attributes:
        source, call_id: of the call.
        limits: that it comes to, as they held at each time where it was followed in part.
        opted_out: since when the operator does not follow it, and until when it would last; None where he does.
        is_unresolved: whether an interval of it that is not over cannot be followed.
    """

    source: str
    call_id: str
    limits: tuple[GridEvent, ...] = ()
    opted_out: tuple[float, float] | None = None
    is_unresolved: bool = False


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """What is known of a stretch of time. Whatever is not known is absent, never zero.

    Attributes:
        now_s: wall clock.
        power: metered means in steps that are short beside what is reported on, in order.
        baseline: of the programme.
        forecast: of the draw to come.
        standings: of all calls.
        standing_limit_w: of the site; None for none.
        levels: that were called for.
        sheds: by horizon and by cost, without derates.
        derates: by which less of them is offered.
        carbon_kg_per_mwh: emissions of the grid's energy, as spans of (start, end, value).
        reservation_w: import capacity asked for beyond what is subscribed to; None for none.
        idle_w: draw at or below which nothing runs; None where that is not known.
        error: why the site cannot be controlled; None where it can.
        disabled: why it is left alone, by its operator's choice; None where it is controlled.
    """

    now_s: float
    power: tuple[Mean, ...] = ()
    baseline: tuple[Expected, ...] = ()
    forecast: tuple[Expected, ...] = ()
    standings: tuple[Standing, ...] = ()
    standing_limit_w: float | None = None
    levels: tuple[LevelSpan, ...] = ()
    sheds: tuple[Shed, ...] = ()
    derates: Derates = ()
    carbon_kg_per_mwh: tuple[tuple[float, float, float], ...] = ()
    reservation_w: float | None = None
    idle_w: float | None = None
    error: str | None = None
    disabled: str | None = None

    @property
    def limits(self) -> tuple[GridEvent, ...]:
        """Of calls, in force at some time."""
        return tuple(limit for standing in self.standings for limit in standing.limits)

    @property
    def opted_out(self) -> tuple[tuple[float, float], ...]:
        """When the operator did not follow a call, (start, end)."""
        return tuple(standing.opted_out for standing in self.standings if standing.opted_out is not None)
