"""What is remembered of an event, and what can be told of it without its VTN."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from controller.errors import CallRefused, ControllerError, MessageError
from controller.grid.admit import MAX_SKEW_S, Refusal
from controller.openadr.events import Meaning, is_ours
from controller.openadr.fields import Fields
from controller.openadr.messages import Event
from controller.openadr.messages_read import read_targets

RETELL_S = 3600.0
"""Time after which an event that loops is looked at again."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What is remembered of an event.

    Attributes:
        event: as it was last read; None where it never could be.
        digest: of the message as it came.
        heard_s: when it was first heard of.
        modified_s: time of its last change.
        chance: of its randomised start.
        programme: name of our programme.
        refused: why the last message was not followed; None where it was.
        is_done: whether everything of the last message was carried out.
        looked_s: when it was last understood.
        overtaken: digest of the last message that was older than what is followed.
        asker: the event as far as it could be read, where the last message was refused and is for us; None elsewhere.
    """

    digest: bytes
    heard_s: float
    modified_s: float
    chance: float
    programme: str
    event: Event | None = None
    meaning: Meaning = field(default_factory=Meaning)
    refused: str | None = None
    is_done: bool = True
    looked_s: float = 0.0
    overtaken: bytes = b""
    asker: Event | None = None


def event_of(call_id: str) -> str:
    """Id of the event that a call came from; ids of events have no dots."""
    return call_id.partition(".")[0]


def is_overtaken(event: Event, known: Followed) -> bool:
    """Whether the VTN itself says that it changed the event after this message: a replay, or a cache on the way."""
    if known.event is None or event.modified_s is None or known.event.modified_s is None:
        return False
    return event.modified_s < known.event.modified_s


def early_s(event: Event, now_s: float) -> float | None:
    """When a message says that the event was changed, where that is further ahead than clocks may differ."""
    told_s = event.created_s if event.modified_s is None else event.modified_s
    return told_s if told_s is not None and told_s > now_s + MAX_SKEW_S else None


def moves_on(known: Followed, now_s: float) -> bool:
    """Whether an event that loops is to be told further: its slots are those around now."""
    return known.event is not None and known.event.duration is not None and now_s - known.looked_s >= RETELL_S


def asker_of(content: dict[str, Any], own: frozenset[str]) -> Event | None:
    """What can be known of an event that was refused, so that its VTN can be told; None of one that is not for us."""
    fields = Fields.of(content, "event")
    try:
        targets = read_targets(fields)
        found = Event(fields.object_id("id"), fields.object_id("programID"), targets=targets)
    except MessageError:
        return None  # the refusal itself is told in the log
    return found if is_ours(targets, own) else None


def lasts(refusal: ControllerError) -> bool:
    """Whether a call stays refused: one that came too fast, or could not be recorded, is taken at a later listing."""
    return isinstance(refusal, CallRefused) and refusal.cause != Refusal.RATE.value


def begins(content: Any) -> str:
    """By what the events of a listing are put in order: those of now first, then the soonest.

    A programme bounds how many calls are taken in a minute; where more come at once, those in force must not wait. It
    is the text of the start, whose order is near enough that of time; what cannot be read comes first, and is refused.
    """
    found = _start(content)
    if found is None and isinstance(content, dict) and isinstance(content.get("intervals"), list):
        found = next((_start(each) for each in content["intervals"]), None)
    return found or ""


def _start(content: Any) -> str | None:
    period = content.get("intervalPeriod") if isinstance(content, dict) else None
    start = period.get("start") if isinstance(period, dict) else None
    return start if isinstance(start, str) else None
