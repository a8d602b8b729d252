"""The draw that would have been: mean power before an event, frozen when the event starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.grid import GridEvent

MAX_SAMPLES = 720
MIN_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class PowerHistory:
    """Measured power of the recent past, oldest first, as (time in s, W); bounded to `MAX_SAMPLES`."""

    samples: tuple[tuple[float, float], ...] = ()

    def with_sample(self, time_s: float, power_w: float, reach_s: float) -> PowerHistory:
        """The history with a sample more, over `reach_s`; one that follows the last too closely is left out."""
        if self.samples and time_s - self.samples[-1][0] < reach_s / MAX_SAMPLES:
            return self
        kept = tuple(sample for sample in self.samples if sample[0] > time_s - reach_s)
        return PowerHistory((*kept, (time_s, power_w))[-MAX_SAMPLES:])


def mean_before_w(samples: Iterable[tuple[float, float]], end_s: float, window_s: float) -> float | None:
    """Mean of the samples on [end_s - window_s, end_s); None with fewer than three."""
    within = [power_w for time_s, power_w in samples if end_s - window_s <= time_s < end_s]
    return sum(within) / len(within) if len(within) >= MIN_SAMPLES else None


def preparation_s(event: GridEvent, prepare_s: float, prepared_from_s: float | None = None) -> float:
    """When what is done for an event could first show in the power, at most its start.

    Preparation is due `prepare_s` before the start, or as the event or its programme says instead, or at the notice
    where that came later. What began still earlier, as told by `prepared_from_s`, counts from then.
    """
    due_s = max(event.notice_s, event.start_s - (prepare_s if event.prepare_s is None else event.prepare_s))
    began_s = due_s if prepared_from_s is None else min(due_s, prepared_from_s)
    return min(began_s, event.start_s)


def baseline_w(
    samples: Iterable[tuple[float, float]],
    event: GridEvent,
    window_s: float,
    prepare_s: float,
    prepared_from_s: float | None = None,
) -> float | None:
    """Meter-before baseline of an event: mean power of the window before it.

    The window ends at `preparation_s`: what is done for the event must not raise its baseline. Where too little was
    measured before then, the window ends at the start.
    Returns None where too little was measured.
    """
    kept = tuple(samples)
    begins_s = preparation_s(event, prepare_s, prepared_from_s)
    if begins_s < event.start_s:
        before = mean_before_w(kept, begins_s, window_s)
        if before is not None:
            return before
    return mean_before_w(kept, event.start_s, window_s)
