"""Price and carbon over the horizon: what the feed knows, then persistence, then a configured figure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.grid import Series
from controller.model.observation import Missing
from controller.model.plan import Horizon


@dataclass(frozen=True, slots=True)
class SignalForecast:
    """Values of each interval.

    Attributes:
        fallback: why something other than the feed's own value stands for the first interval; None where it does not.
    """

    values: tuple[float, ...]
    fallback: str | None


def forecast(signal: Series | Missing, horizon: Horizon, default: float, stale_s: float) -> SignalForecast:
    """One value an interval, taken at its start.

    Within the series its own value holds; up to `stale_s` after the series' end its last value persists; otherwise, and
    before its start, `default`.
    """
    if isinstance(signal, Missing):
        return SignalForecast((default,) * horizon.steps, f"{signal.source} is missing: {signal.reason}")
    values = []
    for step in range(horizon.steps):
        time_s = horizon.start_of(step)
        value = signal.at(time_s)
        if value is None:
            value = signal.values[-1] if signal.end_s <= time_s < signal.end_s + stale_s else default
        values.append(value)
    return SignalForecast(tuple(values), _fallback(signal, horizon.start_s, stale_s))


def _fallback(signal: Series, now_s: float, stale_s: float) -> str | None:
    if signal.at(now_s) is not None:
        return None
    if now_s < signal.starts_s[0]:
        return f"{signal.source} begins {signal.starts_s[0] - now_s:.0f} s from now; the configured value holds"
    age_s = now_s - signal.end_s
    held = "its last value persists" if age_s < stale_s else "the configured value holds"
    return f"{signal.source} ended {age_s:.0f} s ago; {held}"
