"""The whole account of an event: its intervals, how it was followed, and what that comes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.settlement.baseline_profile import Baseline
from controller.settlement.delivered import Settlement, settlement_of
from controller.settlement.intervals import IntervalFold, Terms
from controller.settlement.performance import Performance, performance
from controller.settlement.response import Response, ResponseFold


@dataclass(frozen=True, slots=True)
class EventAccount:
    """What there is to prove of an event.

    Attributes:
        baseline: as it was frozen.
    """

    baseline: Baseline
    settlement: Settlement
    response: Response
    performance: Performance


class AccountFold:
    """Makes the account of an event, or of what has passed of it until `until_s`, of means in order of time.

    Args:
        event: what was asked for.
        baseline: as it was frozen.
        terms: of settlement.
        until_s: up to where to settle.

    Raises:
        ValueError: nothing of the baseline is known.
    """

    def __init__(self, event: GridEvent, baseline: Baseline, terms: Terms, until_s: float) -> None:
        if baseline.mean_w is None:
            raise ValueError(f"event {event.event_id} has no baseline; settle it by a value, or by another rule")
        self._event, self._baseline, self._baseline_w, self._rates = event, baseline, baseline.mean_w, terms.rates
        self._intervals = IntervalFold(event, baseline, terms, until_s)
        self._response = ResponseFold(event, baseline.mean_w)

    def take(self, mean: Mean) -> None:
        """Take the next mean, from the start to an hour after the end, of a second or as short as there are."""
        self._intervals.take(mean)
        self._response.take(mean)

    def account(self) -> EventAccount:
        """The account, once all means were taken."""
        intervals, response = self._intervals.intervals(), self._response.response()
        return EventAccount(
            baseline=self._baseline,
            settlement=settlement_of(self._event, self._baseline_w, intervals, response.time_to_90pct_s),
            response=response,
            performance=performance(intervals, self._rates),
        )


def account(
    event: GridEvent, seconds: Iterable[Mean], baseline: Baseline, terms: Terms, until_s: float
) -> EventAccount:
    """The account of means in order of time; see `AccountFold`.

    Raises:
        ValueError: nothing of the baseline is known.
    """
    fold = AccountFold(event, baseline, terms, until_s)
    for mean in seconds:
        fold.take(mean)
    return fold.account()
