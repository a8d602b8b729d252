"""How an event was followed: times to reach it, overshoot, tracking, and the rebound after its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.grid import GridEvent

Samples = Sequence[tuple[float, float]]
"""Measured power as (time in s, W), in order of time."""
REBOUND_S = 3600.0
REBOUND_MEAN_S = 60.0
SHARES = (0.5, 0.9, 1.0)
"""Of the reduction, of which is told when they were reached."""


@dataclass(frozen=True, slots=True)
class Response:
    """How an event was followed, from its samples; None where there are none to tell.

    Attributes:
        time_to_50pct_s, time_to_90pct_s, time_to_100pct_s: from the start until the draw has first fallen by that share
            of baseline less limit; None if never, or where the limit is not below the baseline.
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


class ResponseFold:
    """Follows how an event is followed, by samples in order of time; none of them is held.

    Args:
        event: what was asked for.
        baseline_w: the draw that would have been.
    """

    def __init__(self, event: GridEvent, baseline_w: float) -> None:
        self._event, self._baseline_w = event, baseline_w
        asked_w = baseline_w - event.limit_w
        self._goals_w = {share: baseline_w - share * asked_w for share in SHARES} if asked_w > 0.0 else {}
        self._reached_s: dict[float, float] = {}
        self._held = _Held()
        self._rebound: dict[int, tuple[float, int]] = {}

    def take(self, time_s: float, power_w: float) -> None:
        """Take the next sample, from the start to an hour after the end."""
        event = self._event
        if event.start_s <= time_s < event.end_s:
            for share_frac, goal_w in self._goals_w.items():
                if power_w <= goal_w:
                    self._reached_s.setdefault(share_frac, time_s - event.start_s)
            if time_s >= event.start_s + event.ramp_s:
                self._held.take(power_w, event.limit_w)
        elif event.end_s <= time_s < event.end_s + REBOUND_S:
            minute = int((time_s - event.end_s) // REBOUND_MEAN_S)
            total_w, count = self._rebound.get(minute, (0.0, 0))
            self._rebound[minute] = total_w + power_w, count + 1

    def response(self) -> Response:
        """How it was followed so far."""
        held, limit_w = self._held, self._event.limit_w
        has_limit = held.count > 0 and limit_w > 0.0
        peak_w = max((total_w / count for total_w, count in self._rebound.values()), default=None)
        half_s, most_s, all_s = (self._reached_s.get(share_frac) for share_frac in SHARES)
        return Response(
            time_to_50pct_s=half_s,
            time_to_90pct_s=most_s,
            time_to_100pct_s=all_s,
            overshoot_w=max(0.0, limit_w - held.least_w) if held.count else None,
            over_w=held.most_over_w if held.count else None,
            tracking_error_frac=held.away_w / held.count / limit_w if has_limit else None,
            over_error_frac=held.over_w / held.count / limit_w if has_limit else None,
            rebound_peak_w=peak_w,
            rebound_w=None if peak_w is None else peak_w - self._baseline_w,
        )


@dataclass(slots=True)
class _Held:
    """What was drawn after the ramp: sums of what lay above the limit, and away from it."""

    count: int = 0
    least_w: float = math.inf
    most_over_w: float = 0.0
    over_w: float = 0.0
    away_w: float = 0.0

    def take(self, power_w: float, limit_w: float) -> None:
        over_w = max(0.0, power_w - limit_w)
        self.count += 1
        self.least_w = min(self.least_w, power_w)
        self.most_over_w = max(self.most_over_w, over_w)
        self.over_w += over_w
        self.away_w += abs(power_w - limit_w)


def respond(samples: Samples, event: GridEvent, baseline_w: float) -> Response:
    """How an event was followed.

    Args:
        samples: from the start to an hour after the end, in order of time, as far as they go.
        event: what was asked for.
        baseline_w: the draw that would have been.
    """
    fold = ResponseFold(event, baseline_w)
    for time_s, power_w in samples:
        fold.take(time_s, power_w)
    return fold.response()
