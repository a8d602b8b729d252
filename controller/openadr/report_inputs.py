"""What reports are made from: measurements, baselines, limits and forecasts of the time that they cover."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.capability import QosCost
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
class ReportInputs:
    """What is known of a stretch of time. Whatever is not known is absent, never zero.

    Attributes:
        now_s: wall clock.
        power: metered means in steps that are short beside what is reported on, in order.
        baseline: of the programme.
        forecast: of the draw to come.
        limits: in force at some time.
        standing_limit_w: of the site; None for none.
        levels: that were called for.
        opted_out: when the operator did not follow, (start, end).
        sheds: by horizon and by cost.
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
    limits: tuple[GridEvent, ...] = ()
    standing_limit_w: float | None = None
    levels: tuple[LevelSpan, ...] = ()
    opted_out: tuple[tuple[float, float], ...] = ()
    sheds: tuple[Shed, ...] = ()
    carbon_kg_per_mwh: tuple[tuple[float, float, float], ...] = ()
    reservation_w: float | None = None
    idle_w: float | None = None
    error: str | None = None
    disabled: str | None = None
