"""What a level, or a threshold of price or carbon, asks of the site's power; and the thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from controller.model.call import Asked, Commitment
from controller.model.threshold import FeedSignal, Threshold
from controller.settings.fields import Frac, Watts
from router.settings import Group

Signal = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class AskedSettings(Group):
    """What is asked for: one of these."""

    at_most_w: Watts | None = None
    """Import at the metering point at most this."""
    below_baseline_w: Watts | None = None
    """This much less than the programme's baseline."""
    below_baseline_frac: Frac | None = None
    """This share less than the programme's baseline: 0.1 is 10 %."""
    below_present_w: Watts | None = None
    """This much less than what is drawn when the interval begins."""
    nothing: bool = False
    """No limit: normal operation."""

    @model_validator(mode="after")
    def _is_one(self) -> AskedSettings:
        if len(self._told()) != 1:
            raise ValueError(
                "one thing is asked for: write one of at_most_w, below_baseline_w, below_baseline_frac, "
                "below_present_w, or nothing: true"
            )
        return self

    def _told(self) -> list[Commitment]:
        forms = (Asked.AT_MOST_W, Asked.BELOW_BASELINE_W, Asked.BELOW_BASELINE_FRAC, Asked.BELOW_PRESENT_W)
        told = [Commitment(asked, value) for asked in forms if (value := getattr(self, asked.value)) is not None]
        return told + ([Commitment(Asked.NOTHING)] if self.nothing else [])

    def commitment(self) -> Commitment:
        """The same as a commitment."""
        return self._told()[0]


class ThresholdSettings(Group):
    """Less is asked for while a feed tells more than a value."""

    signal: FeedSignal
    """Which feed: `price_usd_per_mwh` or `carbon_kg_per_mwh` of `signals`."""
    above: Signal
    """It begins where the signal is above this, in the signal's unit."""
    until_below: Signal | None = None
    """It goes on until the signal is below this. Absent: `above`."""
    asks: AskedSettings
    """What is asked for meanwhile, e.g. {below_baseline_frac: 0.2}."""
    least_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """Shortest time that it holds once it has begun."""

    @model_validator(mode="after")
    def _falls_back(self) -> ThresholdSettings:
        if self.until_below is not None and self.until_below > self.above:
            raise ValueError(
                f"until_below is {self.until_below:g}, more than above, {self.above:g}: it would end as it begins; "
                "lower it"
            )
        if self.asks.nothing:
            raise ValueError("asks is nothing: true; write what is asked for, or leave the threshold out")
        return self

    def threshold(self) -> Threshold:
        """The same as the controller's model has it."""
        until_below = self.above if self.until_below is None else self.until_below
        return Threshold(self.signal, self.above, until_below, self.asks.commitment(), self.least_s)


def refuse_doubles(thresholds: tuple[ThresholdSettings, ...]) -> None:
    """Raise ValueError where two thresholds of one signal begin at the same value: their calls could not be told apart.

    What differs by less than ten digits is the same.
    """
    seen: set[tuple[FeedSignal, str]] = set()
    for number, each in enumerate(thresholds):
        key = (each.signal, f"{each.above:.10g}")
        if key in seen:
            raise ValueError(
                f"thresholds.{number}.above is {each.above:g}, as another one of {each.signal.value} has it; keep one"
            )
        seen.add(key)


def refuse_unfed(programmes: Mapping[str, tuple[ThresholdSettings, ...]], fed: Mapping[str, str | None]) -> None:
    """Raise ValueError where a threshold has no feed, or one that never changes.

    Args:
        programmes: the thresholds of each.
        fed: kind of the feed of each signal; None without one.
    """
    for name, thresholds in programmes.items():
        for number, each in enumerate(thresholds):
            kind, place = fed[each.signal.value], f"programmes.{name}.thresholds.{number}"
            if kind is None:
                raise ValueError(f"{place}: signals.{each.signal.value} has no feed; add one, or remove the threshold")
            if kind == "constant":
                raise ValueError(
                    f"{place}: signals.{each.signal.value} is constant, always above or never; name a feed that changes"
                )
