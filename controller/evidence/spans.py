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

    @property
    def key(self) -> str:
        """By which it differs from others, also of the same id."""
        return f"{self.subject} {self.start_s}"

    def is_near(self, now_s: float) -> bool:
        """Whether it is to be recorded."""
        return self.start_s - BEFORE_S <= now_s < self.end_s + AFTER_S

    def is_standing(self, now_s: float) -> bool:
        """Whether it is in force for so long that less is recorded."""
        return self.start_s + STANDING_S <= now_s < self.end_s


Spans = Mapping[str, Span]
"""By their keys."""


def seen(spans: Spans, events: Iterable[Mapping[str, Any]], now_s: float) -> dict[str, Span]:
    """The spans after a look at the events that are pending or in force, as they stand in a decision's record.

    What was in force and is seen no more is over; what never began and is seen no more is forgotten. An id that comes
    again begins a span of its own, beside that of the event which had it before.
    """
    found: dict[str, Span] = {}
    for event in events:
        subject, from_s, until_s = call_key(event["source"], event["event_id"]), event["start_s"], event["end_s"]
        known = found.get(subject) or _going_on(spans, subject, from_s, now_s)
        start_s = from_s if known is None else min(known.start_s, from_s)
        end_s = until_s if subject not in found else max(found[subject].end_s, until_s)
        found[subject] = Span(subject, event["programme"], start_s, end_s)
    former = []
    for span in spans.values():
        present = found.get(span.subject)
        is_gone = present is None or span.end_s <= min(present.start_s, now_s)
        if is_gone and span.start_s <= now_s < span.end_s + AFTER_S:
            former.append(span if span.is_over else replace(span, end_s=min(span.end_s, now_s), is_over=True))
    newest = sorted((*found.values(), *former), key=lambda span: -span.end_s)[:MAX_SPANS]
    return {span.key: span for span in newest}


def _going_on(spans: Spans, subject: str, start_s: float, now_s: float) -> Span | None:
    """The span that an interval belongs to; None where what is known was over before: it is another of the same id."""
    going = (span for span in spans.values() if span.subject == subject and span.end_s > min(start_s, now_s))
    return next(going, None)


def closed(before: Spans, after: Spans) -> tuple[Span, ...]:
    """Those whose recording has ended between two looks; what never began is none."""
    return tuple(span for key, span in before.items() if key not in after and span.is_over)
