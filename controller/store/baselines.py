"""Baselines from the meter store, frozen as their events begin."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

from controller.errors import StoreError
from controller.model.meter import Mean, MeterReader
from controller.model.programme import BaselineMethod, BaselineRule, Programme, RegressionTerm
from controller.settlement.baseline_profile import Baseline, BaselineQuestion
from controller.settlement.baseline_rule import make_baseline
from controller.settlement.computed_of import prolonged
from controller.settlement.like_days import calendar_of
from controller.store.column_file import ColumnFiles
from controller.store.meter import MeterStore
from controller.store.plain import from_plain, to_plain

GUESSED_S = 3600.0
"""Length of the profile of an event whose end is not told."""
LONGEST_S = 86_400.0
"""Longest time over which the mean of a baseline is taken."""
_DAY_S, _REMEMBERED_STEP_S = 20 * 3600.0, 3600.0
_REMEMBERED_S = 600.0
_MAX_REMEMBERED = 1024


class _Days:
    """Remembers for ten minutes how days were measured: calls that wait ask for the same ones again and again."""

    def __init__(self, store: MeterStore) -> None:
        self._store = store
        self._known: dict[tuple[float, float, float], tuple[float, tuple[Mean, ...]]] = {}

    def reader(self, now_s: float) -> MeterReader:
        """Reads the store as of a time."""

        def read(from_s: float, until_s: float, step_s: float) -> tuple[Mean, ...]:
            if step_s < _REMEMBERED_STEP_S or until_s - from_s < _DAY_S:
                return self._store.means(from_s, until_s, step_s)
            known = self._known.get((from_s, until_s, step_s))
            if known is not None and abs(now_s - known[0]) < _REMEMBERED_S:
                return known[1]
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            means = self._store.means(from_s, until_s, step_s)
            self._known[from_s, until_s, step_s] = (now_s, means)
            return means

        return read


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
        self._days = _Days(store)
        self._columns = ColumnFiles()

    def baseline_w(
        self, programme: Programme, start_s: float, now_s: float, end_s: float | None = None
    ) -> float | None:
        """What would be drawn from `start_s` on by the programme's own rule; None where the readings do not carry it.

        Raises:
            StoreError: the readings could not be had.
        """
        until_s = start_s + GUESSED_S if end_s is None else min(end_s, start_s + LONGEST_S)
        made = self.baseline(programme, start_s, until_s, now_s)
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
        question = self._question(programme, start_s, end_s, now_s, prepared_from_s)
        return make_baseline(question, self._days.reader(now_s))

    def freeze(self, call: str, programme: Programme, start_s: float, end_s: float, now_s: float) -> Baseline:
        """Keep a call's baseline for good, as it is at the first time of asking; a call that grew gets what it lacks.

        One that was kept of another call of the same name, which was over before this one begins, is let go of.

        Args:
            call: by which it is found again, see `controller.model.call.call_key`.
            programme: whose rule holds.
            start_s: of the call.
            end_s: of the call.
            now_s: the present, at or after the start.

        Raises:
            StoreError: the readings could not be had, or it could not be kept.
        """
        kept = self.frozen(call)
        if kept is not None and kept.intervals and kept.intervals[-1].end_s <= start_s:
            kept = None
        if kept is not None and (not kept.intervals or kept.intervals[-1].end_s >= end_s):
            return kept
        from_s = start_s if kept is None else kept.intervals[0].start_s
        made = self.baseline(programme, from_s, end_s, now_s)
        if kept is not None:
            made = prolonged(kept, made)
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
        column, fault = self._column(programme.baseline, calendar.zone)
        return BaselineQuestion(
            start_s=start_s,
            end_s=end_s,
            interval_s=programme.settlement_interval_s,
            rule=programme.baseline,
            calendar=calendar,
            prepared_s=min(start_s, *known_s),
            event_spans=self._store.event_spans(),
            column=column,
            column_fault=fault,
        )

    def _column(self, rule: BaselineRule, zone: ZoneInfo) -> tuple[tuple[tuple[float, float], ...], str]:
        """The regression's column, and why there is none: then the rule has no baseline, which is told."""
        if rule.method is not BaselineMethod.REGRESSION or RegressionTerm.COLUMN not in rule.regression.terms:
            return (), ""
        try:
            return self._columns.read(rule.regression, zone), ""
        except StoreError as error:
            return (), str(error)
