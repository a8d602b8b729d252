"""How an event was followed: times to reach it, overshoot, tracking, and the rebound after its end.

What was reached and what was the highest and the lowest is told by means of `MEAN_S`: one sample may be noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.settlement.trailing import Trailing

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
        time_to_50pct_s, time_to_90pct_s, time_to_100pct_s: from the start until a mean of 5 s has first fallen by that
            share of baseline less limit; None if never, or where the limit is not below the baseline.
        overshoot_w: how far below the limit a mean of 5 s after the ramp went, at most; what was given up unasked.
        over_w: how far above the limit such a mean went, at most; 0 where none did.
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
    """Time from the event's start until a sample is at most baseline - share·(baseline - limit); None if never.

    Args:
        samples: means, such as `Trailing` makes, each with the time at which it is known.
        event: what was asked for.
        baseline_w: the draw that would have been.
        share_frac: of the reduction.
    """
    goal_w = baseline_w - share_frac * max(0.0, baseline_w - event.limit_w)
    for time_s, power_w in samples:
        if event.start_s <= time_s < event.end_s and power_w <= goal_w:
            return time_s - event.start_s
    return None


class ResponseFold:
    """Follows how an event is followed, by means in order of time; no more of them is held than `Trailing` does.

    Args:
        event: what was asked for.
        baseline_w: the draw that would have been.
    """

    def __init__(self, event: GridEvent, baseline_w: float) -> None:
        self._event, self._baseline_w = event, baseline_w
        asked_w = baseline_w - event.limit_w
        self._goals_w = {share: baseline_w - share * asked_w for share in SHARES} if asked_w > 0.0 else {}
        self._reached_s: dict[float, float] = {}
        self._trailing = Trailing()
        self._held = _Held()
        self._rebound: dict[int, tuple[float, int]] = {}

    def take(self, mean: Mean) -> None:
        """Take the next mean, from the start to an hour after the end, of a second or as short as there are."""
        if mean.mean_w is None:
            return
        event, time_s, power_w = self._event, mean.start_s, mean.mean_w
        trailing_w = self._trailing.take(time_s, mean.end_s, power_w)
        if event.start_s <= time_s < event.end_s:
            for share_frac, goal_w in self._goals_w.items():
                if trailing_w is not None and trailing_w <= goal_w:
                    self._reached_s.setdefault(share_frac, mean.end_s - event.start_s)
            if time_s >= event.start_s + event.ramp_s:
                self._held.take(mean, power_w, event.limit_w)
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
            overshoot_w=max(0.0, limit_w - held.least_w) if held.is_told else None,
            over_w=max(0.0, held.most_w - limit_w) if held.is_told else None,
            tracking_error_frac=held.away_w / held.count / limit_w if has_limit else None,
            over_error_frac=held.over_w / held.count / limit_w if has_limit else None,
            rebound_peak_w=peak_w,
            rebound_w=None if peak_w is None else peak_w - self._baseline_w,
        )


@dataclass(slots=True)
class _Held:
    """What was drawn after the ramp: means of 5 s within it, and sums of what lay above the limit, and away from it."""

    trailing: Trailing = field(default_factory=Trailing)
    count: int = 0
    least_w: float = math.inf
    most_w: float = -math.inf
    over_w: float = 0.0
    away_w: float = 0.0

    @property
    def is_told(self) -> bool:
        """Whether there was a mean of 5 s."""
        return self.most_w >= self.least_w

    def take(self, mean: Mean, power_w: float, limit_w: float) -> None:
        trailing_w = self.trailing.take(mean.start_s, mean.end_s, power_w)
        if trailing_w is not None:
            self.least_w, self.most_w = min(self.least_w, trailing_w), max(self.most_w, trailing_w)
        self.count += 1
        self.over_w += max(0.0, power_w - limit_w)
        self.away_w += abs(power_w - limit_w)


def respond(means: Iterable[Mean], event: GridEvent, baseline_w: float) -> Response:
    """How an event was followed.

    Args:
        means: from the start to an hour after the end, in order of time, as far as they go.
        event: what was asked for.
        baseline_w: the draw that would have been.
    """
    fold = ResponseFold(event, baseline_w)
    for mean in means:
        fold.take(mean)
    return fold.response()
