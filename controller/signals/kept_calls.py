"""The calls that are held, with their record: a bounded number, which outlasts the process and a clock that is set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from controller.grid import admit
from controller.grid.courses import stepped
from controller.grid.kept import KeptCall
from controller.grid.resolve import Resolved
from controller.signals import call_log
from controller.signals.call_log import CallLog
from controller.signals.gone import Gone, GoneCalls

Key = tuple[str, str]
KEEP_ENDED_S = 3600.0


class KeptCalls:
    """Calls by source and id; each is recorded before it is held.

    Attributes:
        gone: what is remembered of those that are held no more.
    """

    def __init__(self, told: CallLog) -> None:
        self._log = told
        self._kept: dict[Key, KeptCall] = {}
        self.gone = GoneCalls()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, source: str, call_id: str) -> KeptCall | None:
        """One of them."""
        return self._kept.get((source, call_id))

    def all(self) -> tuple[KeptCall, ...]:
        """All of them."""
        return tuple(self._kept.values())

    def others(self, key: Key, now_s: float) -> tuple[KeptCall, ...]:
        """Those besides one that are not over."""
        return tuple(kept for known, kept in self._kept.items() if known != key and not kept.is_over(now_s))

    def keep(self, kept: KeptCall, action: str, now_s: float, **told: Any) -> None:
        """Hold a call, in place of what was held of it.

        Raises:
            StoreError: it could not be recorded; what was held before still is.
        """
        self._log.write(kept, action, now_s, told)
        self._kept[kept.key] = kept
        self.gone.forget(kept.key)

    def froze(self, kept: KeptCall, resolved: Resolved, now_s: float) -> None:
        """Hold a call of which something froze."""
        self._kept[kept.key] = kept
        self._log.frozen(kept, resolved, now_s)

    def renew(self, now_s: float) -> None:
        """Record those once more that last."""
        for kept in self._kept.values():
            if not kept.is_over(now_s):
                self._log.renew(kept, now_s)

    def forget(self, now_s: float) -> list[Key]:
        """Let go of what has long been over, but for the time of its last change; returns their keys."""
        gone = [key for key, kept in self._kept.items() if now_s >= kept.end_s + KEEP_ENDED_S]
        over = sorted((kept.end_s, key) for key, kept in self._kept.items() if kept.is_over(now_s) and key not in gone)
        room = max(0, len(self._kept) - len(gone) - admit.MAX_CALLS)
        gone += [key for _, key in over[:room]]
        for key in gone:
            kept = self._kept.pop(key)
            self.gone.add(Gone(*key, kept.call.modified_s, kept.cancelled_s is not None))
        self._log.forget(gone)
        return gone

    def overtaken(self, gone: Gone, now_s: float) -> None:
        """A cancellation has come before its call, which must not come into force after it."""
        if (gone.source, gone.call_id) not in self.gone:
            self._log.overtaken(gone, now_s)
        self.gone.add(gone)

    def step(self, step_s: float, now_s: float) -> None:
        """The clock was set ahead by so much, s: calls that were not over hold by its former course as well (R10).

        Of those that were over nothing is held over any more: nobody relies on it, and it would come at another time.
        """
        for kept in self.all():
            if kept.is_over(now_s - step_s):
                followed = dataclasses.replace(kept, restore_frac=0.0)
            else:
                followed = dataclasses.replace(kept, courses_s=stepped(kept.courses_s, step_s))
            if followed != kept:
                self._kept[kept.key] = followed
                self._log.clock_set(followed, step_s, now_s)

    @property
    def by_former_course(self) -> int:
        """How many of them hold by a former course of the clock as well."""
        return sum(1 for kept in self._kept.values() if kept.courses_s and kept.cancelled_s is None)

    def trust(self, now_s: float) -> None:
        """The clock is known to be right: calls hold by what it shows alone."""
        for kept in self.all():
            if kept.courses_s:
                self._kept[kept.key] = dataclasses.replace(kept, courses_s=())
                self._log.clock_trusted(self._kept[kept.key], kept.span_at(now_s), now_s)

    def restore(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take in recorded changes, oldest first."""
        for kept in call_log.read(records):
            self._kept[kept.key] = kept
