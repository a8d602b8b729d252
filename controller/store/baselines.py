"""Baselines from the meter store, frozen as their events begin."""

from __future__ import annotations

import dataclasses
import json

from controller.errors import StoreError
from controller.model.programme import Programme
from controller.settlement.baseline_profile import Baseline, BaselineQuestion
from controller.settlement.baseline_rule import make_baseline
from controller.settlement.like_days import calendar_of
from controller.store.meter import MeterStore
from controller.store.plain import from_plain, to_plain

GUESSED_S = 3600.0
"""Length of the profile of an event whose end is not told."""


def call_key(source: str, event_id: str) -> str:
    """By which the baseline of a call is kept: its source and its id, the same for all of its intervals."""
    return f"{source} {event_id.partition('#')[0]}"


class MeterBaselines:
    """Tells programmes' baselines from stored readings; safe to call from several threads."""

    def __init__(self, store: MeterStore, *, prepare_s: float = 60.0) -> None:
        """Tell baselines.

        Args:
            store: the readings.
            prepare_s: how long before a start preparation begins, where the programme does not say.
        """
        self._store = store
        self._prepare_s = prepare_s

    def baseline_w(
        self, programme: Programme, start_s: float, now_s: float, end_s: float | None = None
    ) -> float | None:
        """What would be drawn from `start_s` on by the programme's own rule; None where the readings do not carry it.

        Raises:
            StoreError: the readings could not be had.
        """
        made = self.baseline(programme, start_s, start_s + GUESSED_S if end_s is None else end_s, now_s)
        return made.mean_w if made.method is made.asked else None

    def baseline(
        self, programme: Programme, start_s: float, end_s: float, now_s: float, *, prepared_from_s: float | None = None
    ) -> Baseline:
        """The profile over an event, with how it came about; another rule takes the place of one without enough days.

        Only what was measured before the start is ever in it.

        Args:
            programme: whose rule holds.
            start_s: of the event.
            end_s: of the event.
            now_s: the present.
            prepared_from_s: when what is done for the event began, where that was earlier than due.

        Raises:
            StoreError: the readings could not be had, or the programme has no such time zone.
        """
        return make_baseline(self._question(programme, start_s, end_s, now_s, prepared_from_s), self._store.means)

    def freeze(self, call: str, programme: Programme, start_s: float, end_s: float, now_s: float) -> Baseline:
        """Keep a call's baseline for good, as it is at the first time of asking; a call that grew gets what it lacks.

        Args:
            call: by which it is found again, see `call_key`.
            programme: whose rule holds.
            start_s: of the call.
            end_s: of the call.
            now_s: the present, at or after the start.

        Raises:
            StoreError: the readings could not be had, or it could not be kept.
        """
        kept = self.frozen(call)
        if kept is not None and (not kept.intervals or kept.intervals[-1].end_s >= end_s):
            return kept
        from_s = start_s if kept is None else kept.intervals[0].start_s
        made = self.baseline(programme, from_s, end_s, now_s)
        if kept is not None:
            longer = [interval for interval in made.intervals if interval.start_s >= kept.intervals[-1].end_s]
            made = dataclasses.replace(kept, intervals=(*kept.intervals, *longer))
        self._store.freeze(call, from_s, json.dumps(to_plain(made)))
        return made

    def frozen(self, call: str) -> Baseline | None:
        """The baseline that was kept of a call; None before its start, or where none was kept.

        Raises:
            StoreError: it could not be read, or is damaged.
        """
        body = self._store.frozen(call)
        try:
            return None if body is None else from_plain(Baseline, json.loads(body))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{self._store.path}: the baseline frozen of {call} is damaged: {error}") from error

    def _question(
        self, programme: Programme, start_s: float, end_s: float, now_s: float, prepared_from_s: float | None
    ) -> BaselineQuestion:
        lead_s = self._prepare_s if programme.prepare_s is None else programme.prepare_s
        known_s = (start_s - lead_s, now_s) if prepared_from_s is None else (start_s - lead_s, now_s, prepared_from_s)
        try:
            calendar = calendar_of(programme)
        except ValueError as error:
            raise StoreError(str(error)) from error
        return BaselineQuestion(
            start_s=start_s,
            end_s=end_s,
            interval_s=programme.settlement_interval_s,
            rule=programme.baseline,
            calendar=calendar,
            prepared_s=min(start_s, *known_s),
            event_spans=self._store.event_spans(),
        )
