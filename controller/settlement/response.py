"""How an event was followed: times to reach it, overshoot, tracking, and the rebound after its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from controller.model.grid import GridEvent

Samples = Sequence[tuple[float, float]]
"""Measured power as (time in s, W), in order of time."""
REBOUND_S = 3600.0
REBOUND_MEAN_S = 60.0


@dataclass(frozen=True, slots=True)
class Response:
    """How an event was followed, from its samples; None where there are none to tell.

    Attributes:
        time_to_50pct_s, time_to_90pct_s, time_to_100pct_s: from the start until the draw has first fallen by that share
            of baseline less limit; None if never.
        overshoot_w: how far below the limit the draw went after the ramp, at most; what was given up unasked.
        over_w: how far above the limit it went after the ramp, at most; 0 where it never did.
        tracking_error_frac: mean of |draw - limit| / limit after the ramp; None for a limit of 0.
        over_error_frac: the same of what was above the limit alone.
        rebound_peak_w: highest mean of `REBOUND_MEAN_S` within `REBOUND_S` after the end.
        rebound_w: by how much that is above the baseline; negative where it stayed below.
    """

    time_to_50pct_s: float | None
    time_to_90pct_s: float | None
    time_to_100pct_s: float | None
    overshoot_w: float | None
    over_w: float | None
    tracking_error_frac: float | None
    over_error_frac: float | None
    rebound_peak_w: float | None
    rebound_w: float | None


def time_to_share_s(samples: Samples, event: GridEvent, baseline_w: float, share_frac: float) -> float | None:
    """Time from the event's start until the draw is at most baseline - share·(baseline - limit); None if never."""
    goal_w = baseline_w - share_frac * max(0.0, baseline_w - event.limit_w)
    for time_s, power_w in samples:
        if event.start_s <= time_s < event.end_s and power_w <= goal_w:
            return time_s - event.start_s
    return None


def respond(samples: Samples, event: GridEvent, baseline_w: float) -> Response:
    """How an event was followed.

    Args:
        samples: from the start to an hour after the end, in order of time, as far as they go.
        event: what was asked for.
        baseline_w: the draw that would have been.
    """
    held = [watts for time_s, watts in samples if event.start_s + event.ramp_s <= time_s < event.end_s]
    over = [max(0.0, watts - event.limit_w) for watts in held]
    away = [abs(watts - event.limit_w) for watts in held]
    has_limit = bool(held) and event.limit_w > 0.0
    peak_w = _rebound_peak_w(samples, event.end_s)
    return Response(
        time_to_50pct_s=time_to_share_s(samples, event, baseline_w, 0.5),
        time_to_90pct_s=time_to_share_s(samples, event, baseline_w, 0.9),
        time_to_100pct_s=time_to_share_s(samples, event, baseline_w, 1.0),
        overshoot_w=max(0.0, event.limit_w - min(held)) if held else None,
        over_w=max(over) if held else None,
        tracking_error_frac=fmean(away) / event.limit_w if has_limit else None,
        over_error_frac=fmean(over) / event.limit_w if has_limit else None,
        rebound_peak_w=peak_w,
        rebound_w=None if peak_w is None else peak_w - baseline_w,
    )


def _rebound_peak_w(samples: Samples, end_s: float) -> float | None:
    """Highest mean of the bins of `REBOUND_MEAN_S` after the end."""
    bins: dict[int, list[float]] = {}
    for time_s, watts in samples:
        if end_s <= time_s < end_s + REBOUND_S:
            bins.setdefault(int((time_s - end_s) // REBOUND_MEAN_S), []).append(watts)
    return max((fmean(within) for within in bins.values()), default=None)
