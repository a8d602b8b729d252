"""The whole account of an event: its intervals, how it was followed, and what that comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.settlement.baseline_profile import Baseline
from controller.settlement.delivered import Settlement, Terms, settle
from controller.settlement.performance import Performance, performance
from controller.settlement.response import Response, respond


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


def account(
    event: GridEvent, seconds: Sequence[Mean], baseline: Baseline, terms: Terms, until_s: float
) -> EventAccount:
    """The account of an event, or of what has passed of it until `until_s`.

    Args:
        event: what was asked for.
        seconds: means from the start to an hour after the end, as far as they go, of a second or as short as there are.
        baseline: as it was frozen.
        terms: of settlement.
        until_s: up to where to settle.

    Raises:
        ValueError: nothing of the baseline is known.
    """
    settlement = settle(seconds, event, baseline_w=baseline, terms=terms, until_s=until_s)
    samples = [(mean.start_s, mean.mean_w) for mean in seconds if mean.mean_w is not None]
    return EventAccount(
        baseline=baseline,
        settlement=settlement,
        response=respond(samples, event, settlement.baseline_w),
        performance=performance(settlement.intervals, terms.rates),
    )
