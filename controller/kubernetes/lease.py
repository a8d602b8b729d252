"""Who leads, by a Lease of the API server: one step of the election from what was read to what is to be written; pure.

Times of other machines are compared for equality only: a lease has run out when its record has not changed for its
duration by our own monotonic clock. The leader counts from before its last write was sent, and stops acting at a
deadline short of the duration, so that it has stopped before anybody else may begin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

NOBODY = ""
"""Holder of a lease that was released."""
MOST_DURATION_S = 600.0
"""A lease that says it lasts longer is waited for no longer."""
_RELEASED_S = 1.0
_JITTER_FRAC = 0.1
_PATIENCE_S = 30.0
"""Longest wait that an API server can ask for."""


class Standing(StrEnum):
    """Where a candidate stands.

    Attributes:
        HELD: it leads, and may act.
        STANDBY: another leads, or nobody does yet.
        LOST: it led and does not any more.
    """

    HELD = "held"
    STANDBY = "standby"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a lease lasts and how it is kept; `renew_every_s` < `deadline_s` < `duration_s`.

    Attributes:
        duration_s: others take over when nothing was renewed for so long.
        renew_every_s: pace of the leader's writes and of the others' looks.
        deadline_s: a leader that has not renewed for so long stops acting.
        answer_s: longest wait for an answer of the API server.
    """

    duration_s: float = 10.0
    renew_every_s: float = 2.0
    deadline_s: float = 7.0
    answer_s: float = 2.0


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease as it stands at the API server.

    Attributes:
        holder: `NOBODY` where it was released.
        renewed, acquired: its times as text; the former is only compared.
        transitions: how often the holder has changed.
        asked: what a standby last wrote beside it to ask for the lead; never a reason by itself to lose it.
        version: the object's resourceVersion; None for one that is still to be created.
    """

    holder: str
    renewed: str
    acquired: str
    transitions: int
    duration_s: float
    version: str | None = None
    asked: str = ""

    @property
    def mark(self) -> tuple[str, str, int]:
        """What changes whenever the lease is renewed or changes hands."""
        return self.holder, self.renewed, self.transitions


@dataclass(frozen=True, slots=True)
class Election:
    """One candidate's view.

    Attributes:
        identity: unique to a process, so that none takes itself for its predecessor.
        record: as last read or written; None where there is none.
        changed_s: monotonic time at which its mark was first seen; None before the first look.
        renewed_s: monotonic time just before our last successful write was sent; None without one.
        asked_s: monotonic time at which a standby was last seen to ask for the lead while we held it; None without one.
    """

    identity: str
    times: LeaseTimes = LeaseTimes()
    standing: Standing = Standing.STANDBY
    record: LeaseRecord | None = None
    changed_s: float | None = None
    renewed_s: float | None = None
    asked_s: float | None = None

    @property
    def leader(self) -> str | None:
        """Who holds the lease by what is known; None where nobody does."""
        return None if self.record is None or self.record.holder == NOBODY else self.record.holder

    def may_act(self, now_s: float) -> bool:
        """Whether nobody else can have taken over yet."""
        is_held = self.standing is Standing.HELD and self.renewed_s is not None
        return is_held and now_s - (self.renewed_s or 0.0) < self.times.deadline_s

    def is_asked(self, now_s: float) -> bool:
        """Whether a standby asks for the lead that we hold."""
        return self.asked_s is not None and now_s - self.asked_s < self.times.duration_s

    def at(self, now_s: float) -> Election:
        """The same at a later time: a leader beyond its deadline has lost the lease."""
        is_late = self.standing is Standing.HELD and not self.may_act(now_s)
        return replace(self, standing=Standing.LOST) if is_late else self

    def has_run_out(self, now_s: float) -> bool:
        """Whether anybody may take the lease."""
        if self.record is None or self.record.holder == NOBODY:
            return True
        return self.changed_s is not None and now_s - self.changed_s >= _duration_s(self.record, self.times)


def read(election: Election, record: LeaseRecord | None, now_s: float) -> Election:
    """After a look; `record` is None where the lease does not exist.

    A holder that finds another's name there has lost it; one that finds none, because somebody deleted the object,
    keeps its deadline.
    """
    election = election.at(now_s)
    is_changed = record is None or election.record is None or record.mark != election.record.mark
    changed_s = now_s if is_changed or election.changed_s is None else election.changed_s
    standing = election.standing
    if record is not None and record.holder != election.identity:
        standing = Standing.STANDBY if standing is Standing.STANDBY else Standing.LOST
    asked_s = now_s if standing is Standing.HELD and _asks_anew(record, election.record) else election.asked_s
    return replace(election, record=record, changed_s=changed_s, standing=standing, asked_s=asked_s)


def wanted(election: Election, now_s: float, now_text: str) -> LeaseRecord | None:
    """What is to be written after a look, None for nothing.

    Args:
        election: after `read`.
        now_s: our monotonic clock.
        now_text: wall clock, in the form of the lease's times.
    """
    before, own = election.record, election.identity
    if before is not None and before.holder == own:
        return replace(before, renewed=now_text, duration_s=election.times.duration_s)
    if not election.has_run_out(now_s):
        return None
    transitions = 0 if before is None else before.transitions + 1
    version = None if before is None else before.version
    return LeaseRecord(own, now_text, now_text, transitions, election.times.duration_s, version)


def written(election: Election, record: LeaseRecord, sent_s: float) -> Election:
    """After a write was accepted that was sent at `sent_s`, monotonic; `record` has its new version."""
    asked_s = election.asked_s if election.standing is Standing.HELD else None
    return replace(election, standing=Standing.HELD, record=record, changed_s=sent_s, renewed_s=sent_s, asked_s=asked_s)


def overtaken(election: Election) -> Election:
    """After a write was refused because somebody else has written (409)."""
    is_held = election.standing is Standing.HELD
    return replace(election, standing=Standing.LOST if is_held else election.standing)


def released(election: Election, now_text: str) -> LeaseRecord | None:
    """What an orderly end writes, so that another takes over at once; None where the lease is not ours."""
    record = election.record
    if record is None or record.holder != election.identity:
        return None
    return replace(record, holder=NOBODY, renewed=now_text, duration_s=_RELEASED_S)


def wait_s(election: Election, now_s: float, draw: float, retry_after_s: float | None = None) -> float:
    """How long until the next look.

    Args:
        election: as it stands.
        now_s: our monotonic clock.
        draw: from 0 to 1, by chance, so that candidates do not come together.
        retry_after_s: what the API server asks for; bounded.
    """
    pace_s = election.times.renew_every_s * (1.0 + _JITTER_FRAC * draw)
    if retry_after_s is not None:
        return min(_PATIENCE_S, max(pace_s, retry_after_s))
    record = election.record
    if election.standing is Standing.HELD or record is None or election.changed_s is None:
        return pace_s
    left_s = election.changed_s + _duration_s(record, election.times) - now_s
    return min(pace_s, max(0.0, left_s) + _JITTER_FRAC * draw)


def _asks_anew(record: LeaseRecord | None, before: LeaseRecord | None) -> bool:
    return record is not None and before is not None and record.asked not in ("", before.asked)


def _duration_s(record: LeaseRecord, times: LeaseTimes) -> float:
    """The lease's own duration: during a change of settings the holder goes by that one."""
    return min(record.duration_s, MOST_DURATION_S) if record.duration_s > 0 else times.duration_s
