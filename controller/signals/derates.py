"""The book of derates: when the site offers less than it could, recorded so that it outlasts the process."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from controller.errors import CallRefused, StoreError
from controller.model.derate import Derate, Derates
from controller.ports import Recorder
from controller.store.plain import from_plain, to_plain

log = logging.getLogger(__name__)

RECORD_KIND = "derate"
MAX_DERATES = 64
"""Held at once, those to come included."""
RENEW_S = 86_400.0
"""One that lasts is recorded again after this time, so that it outlives the retention of old records."""
RESTORED_RECORDS = 10_000


class DerateBook:
    """Those that are in force or to come. It is called by the API and by the loop on one event loop."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._held: dict[str, Derate] = {}
        self._recorded_s: dict[str, float] = {}

    def current(self, now_s: float) -> Derates:
        """Those that are not over, by their start; one that has lasted is recorded again."""
        self._forget(now_s)
        for derate in self._held.values():
            if now_s - self._recorded_s.setdefault(derate.derate_id, now_s) >= RENEW_S:
                self._renew(derate, now_s)
        return tuple(sorted(self._held.values(), key=lambda each: (each.start_s, each.derate_id)))

    def add(self, derate: Derate, now_s: float) -> None:
        """Hold one more.

        Raises:
            CallRefused: it is over, its id is taken, or too many are held.
            StoreError: it could not be recorded; it is then not held.
        """
        self._forget(now_s)
        name = f"derate {derate.derate_id!r:.80}"
        if derate.end_s <= now_s:
            raise CallRefused(f"{name} would be over already; begin it later, or let it last longer")
        if derate.derate_id in self._held:
            raise CallRefused(f"{name} exists already; end it first, or choose another derate_id", is_conflict=True)
        if len(self._held) >= MAX_DERATES:
            raise CallRefused(f"{MAX_DERATES} derates are held already; end some", is_conflict=True)
        self._keep(derate, "added", now_s)
        told = {"subject": derate.derate_id, "shed_w": derate.shed_w, "reason": derate.reason}
        log.warning("less is offered", extra=told)

    def end(self, derate_id: str, now_s: float) -> Derate | None:
        """Hold one no more; None where there is none.

        Raises:
            StoreError: it could not be recorded; it then goes on.
        """
        self._forget(now_s)
        derate = self._held.get(derate_id)
        if derate is not None:
            self._drop(derate, now_s)
            log.warning("a derate is ended", extra={"subject": derate_id})
        return derate

    def restore(self, records: Iterable[Mapping[str, Any]], now_s: float) -> int:
        """Take in recorded changes, oldest first; returns how many are not over."""
        for record in records:
            try:
                derate = from_plain(Derate, record["derate"])
            except (KeyError, TypeError, ValueError) as error:
                log.error("derate not restored", extra={"reason": f"{type(error).__name__}: {error}"})
                continue
            self._held.pop(derate.derate_id, None)
            if record.get("action") != "ended":
                self._held[derate.derate_id] = derate
        self._forget(now_s)
        return len(self._held)

    def adopt(self, derates: Derates, now_s: float) -> None:
        """Hold what another controller held, in place of ours.

        Raises:
            StoreError: a change could not be recorded; those before it are held.
        """
        self._forget(now_s)
        theirs = {each.derate_id: each for each in derates if each.end_s > now_s}
        for derate in tuple(self._held.values()):
            if derate.derate_id not in theirs:
                self._drop(derate, now_s)
        for derate in theirs.values():
            if self._held.get(derate.derate_id) != derate:
                self._keep(derate, "handed_over", now_s)

    def _keep(self, derate: Derate, action: str, now_s: float) -> None:
        self._recorder.record(RECORD_KIND, now_s, {"action": action, "derate": to_plain(derate)})
        self._held[derate.derate_id], self._recorded_s[derate.derate_id] = derate, now_s

    def _drop(self, derate: Derate, now_s: float) -> None:
        self._recorder.record(RECORD_KIND, now_s, {"action": "ended", "derate": to_plain(derate)})
        self._held.pop(derate.derate_id)
        self._recorded_s.pop(derate.derate_id, None)

    def _renew(self, derate: Derate, now_s: float) -> None:
        try:
            self._keep(derate, "kept", now_s)
        except StoreError as error:  # it is tried again at the next look
            log.warning("derate not recorded again", extra={"subject": derate.derate_id, "reason": str(error)})

    def _forget(self, now_s: float) -> None:
        for derate in tuple(self._held.values()):
            if derate.end_s <= now_s:
                self._held.pop(derate.derate_id)
                self._recorded_s.pop(derate.derate_id, None)
