"""How far the draw goes beyond what was set under a limit, and what of the margin for that need not be kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.lifecycle.policy import TickPolicy

WINDOW_S = 600.0
"""How long an excess is remembered."""
LEAST_S = 120.0
"""Of looks under the same limit, before anything is concluded from them."""
MOST_LOOKS = 600


@dataclass(frozen=True, slots=True)
class ControlError:
    """What was set last, and by how much it was exceeded.

    Attributes:
        set_w: draw that the last dispatch comes to; None before the first.
        since_s: when a limit that is in force was first met; None without one.
        excesses: (wall clock, share of what was set by which more was drawn), of the looks since.
    """

    set_w: float | None = None
    since_s: float | None = None
    excesses: tuple[tuple[float, float], ...] = ()

    def after(self, now_s: float, measured_w: float | None, *, is_held: bool, is_settled: bool) -> ControlError:
        """What is known after another look.

        Args:
            now_s: wall clock.
            measured_w: at the meter, None where unknown.
            is_held: whether a limit is in force whose ramp is over.
            is_settled: whether no instance is coming or going.
        """
        if not is_held:
            return ControlError(self.set_w)
        known = replace(self, since_s=now_s if self.since_s is None else self.since_s)
        kept = tuple(each for each in known.excesses if each[0] > now_s - WINDOW_S)
        if is_settled and measured_w is not None and self.set_w:
            kept = (*kept, (now_s, max(0.0, measured_w / self.set_w - 1.0)))[-MOST_LOOKS:]
        return replace(known, excesses=kept)

    def most_frac(self, now_s: float) -> float | None:
        """Largest excess of late; None where too little has been seen."""
        if self.since_s is None or now_s - self.since_s < LEAST_S or len(self.excesses) < 2:
            return None
        if now_s - self.excesses[0][0] < 0.5 * LEAST_S:
            return None
        return max(share for _, share in self.excesses)


def spared_frac(policy: TickPolicy, error: ControlError, now_s: float) -> float:
    """Share of a limit by which the margin may be smaller than is kept without evidence.

    The margin is the meter's error and the forecast's. What is kept for the forecast gives way to its largest error of
    late, never beyond what is kept without evidence.
    """
    seen = error.most_frac(now_s)
    return 0.0 if seen is None else max(0.0, policy.margin_frac - policy.meter_error_frac - seen)
