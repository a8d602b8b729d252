"""What was asked of a leader and must outlast it: the calls that it holds, how their sources stand, bars, derates."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from controller.grid.kept import KeptCall
from controller.model.derate import Derates
from controller.model.observation import Barred
from controller.signals.calls import CallBook
from controller.signals.derates import DerateBook
from controller.signals.links import KeptLinks
from controller.signals.quality_book import QualityBook

_GONE = "the controller that led before held it no more"


@dataclass(frozen=True, slots=True)
class Asked:
    """All of it.

    Attributes:
        written_at_s: the leader's wall clock.
        links: with the calls that are held no more.
        barred: pools and instances, by operators and by canaries.
        derates: by which less is offered.
    """

    written_at_s: float
    calls: tuple[KeptCall, ...]
    links: KeptLinks
    barred: tuple[Barred, ...] = ()
    derates: Derates = ()


def asked_of(book: CallBook, quality: QualityBook, derates: DerateBook, now_s: float) -> Asked:
    """What a leader leaves."""
    gone = book.kept.gone.kept()
    links = dataclasses.replace(book.links.kept(now_s), gone=gone)
    return Asked(now_s, book.kept.all(), links, quality.barred(now_s), derates.current(now_s))


def adopt(asked: Asked, book: CallBook, quality: QualityBook, derates: DerateBook, now_s: float, *, leads: bool) -> int:
    """Hold what the leader holds; returns how many calls changed.

    What this controller took in after the leader wrote stays. What it holds beside the leader's, from a time when it
    led itself, has been let go of since.

    Args:
        asked: by the leader.
        book: of this controller; every change is recorded there.
        quality: the same of bars.
        derates: the same of these.
        now_s: wall clock.
        leads: whether this controller leads from now on: it then minds the silence of the sources, too.

    Raises:
        StoreError: a change could not be recorded; those before it are held.
    """
    changed, theirs = 0, {kept.key: kept for kept in asked.calls}
    for kept in asked.calls:
        if book.kept.get(*kept.key) != kept:
            book.kept.keep(kept, "handed_over", now_s)
            changed += 1
    for own in book.kept.all():
        if own.key not in theirs and own.call.modified_s <= asked.written_at_s and not own.is_over(now_s):
            book.cancel(*own.key, now_s, reason=_GONE)
            changed += 1
    book.kept.gone.resume(asked.links.gone)
    quality.adopt(asked.barred, now_s)
    derates.adopt(asked.derates, now_s)
    if leads:
        book.links.resume(asked.links, now_s)
    return changed
