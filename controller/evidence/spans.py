"""Which events are to be recorded now: from some time before their start until an hour after their end; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.model.call import call_key

BEFORE_S = 900.0
AFTER_S = 3600.0
STANDING_S = 86_400.0
"""A limit that holds for longer is recorded once a minute from then on."""
MAX_SPANS = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """A call, or another event, as far as it is known.

    Attributes:
        subject: by which it is found (`controller.model.call.call_key`).
        end_s: of its last interval; when it vanished, if that was earlier.
        is_over: whether it is known no more.
    """

    subject: str
    programme: str
    start_s: float
    end_s: float
    is_over: bool = False

    def is_near(self, now_s: float) -> bool:
        """Whether it is to be recorded."""
        return self.start_s - BEFORE_S <= now_s < self.end_s + AFTER_S

    def is_standing(self, now_s: float) -> bool:
        """Whether it is in force for so long that less is recorded."""
        return self.start_s + STANDING_S <= now_s < self.end_s


Spans = Mapping[str, Span]


def seen(spans: Spans, events: Iterable[Mapping[str, Any]], now_s: float) -> dict[str, Span]:
    """The spans after a look at the events that are pending or in force, as they stand in a decision's record.

    What was in force and is seen no more is over; what never began and is seen no more is forgotten.
    """
    found: dict[str, Span] = {}
    for event in events:
        subject = call_key(event["source"], event["event_id"])
        known = found.get(subject) or _going_on(spans.get(subject), event["start_s"], now_s)
        start_s = event["start_s"] if known is None else min(known.start_s, event["start_s"])
        end_s = event["end_s"] if subject not in found else max(found[subject].end_s, event["end_s"])
        found[subject] = Span(subject, event["programme"], start_s, end_s)
    for subject, span in spans.items():
        if subject in found or now_s >= span.end_s + AFTER_S:
            continue
        if span.is_over:
            found[subject] = span
        elif span.start_s <= now_s:
            found[subject] = replace(span, end_s=min(span.end_s, now_s), is_over=True)
    newest = sorted(found.values(), key=lambda span: -span.end_s)[:MAX_SPANS]
    return {span.subject: span for span in newest}


def _going_on(known: Span | None, start_s: float, now_s: float) -> Span | None:
    """The span that an interval belongs to; None where what is known was over before: it is another of the same id."""
    return None if known is None or known.end_s <= min(start_s, now_s) else known


def closed(before: Spans, after: Spans) -> tuple[Span, ...]:
    """Those whose recording has ended between two looks; what never began is none."""
    return tuple(span for subject, span in before.items() if subject not in after and span.is_over)
