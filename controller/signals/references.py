"""What calls are counted from: the programme's baseline, and, a step down each, what this process itself has seen.

A step down is counted and logged where the reference is frozen; while a call is pending it is only a guess, made again
every minute.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from controller.errors import StoreError
from controller.grid.draw_history import COVERED_FRAC, MAX_SLOTS, SLOT_S, DrawHistory
from controller.grid.kept import Origin, Reference
from controller.model.meter import MeterReader
from controller.model.programme import BaselineMethod, Programme
from controller.ports import BaselineSource

log = logging.getLogger(__name__)

GUESS_S = 60.0
"""How long a guess of a baseline holds before it is made again."""
_MAX_GUESSES = 512


@dataclass(frozen=True, slots=True)
class _Guess:
    made_s: float
    value_w: float | None


class References:
    """The present draw, and baselines."""

    def __init__(
        self,
        baselines: BaselineSource | None = None,
        *,
        prepare_s: float = 60.0,
        meter: MeterReader | None = None,
    ) -> None:
        """Tell references.

        Args:
            baselines: the stored meter readings; None where none are kept.
            meter: reads means of the same readings; None likewise.
            prepare_s: how long before a start preparation begins where the programme does not say: the mean of what
                was drawn before an event ends there.
        """
        self._history = DrawHistory()
        self._baselines = baselines
        self._prepare_s = prepare_s
        self._meter = meter
        self._modelled_w: float | None = None
        self._guesses: dict[tuple[str, float, float | None], _Guess] = {}

    def take(self, time_s: float, power_w: float | None, modelled_w: float | None = None) -> None:
        """Remember what is drawn: as it was measured, and as the model has it."""
        if power_w is not None:
            self._history.take(time_s, power_w)
        self._modelled_w = modelled_w

    def recall(self, now_s: float, step_s: float = 0.0) -> None:
        """Remember what a former process saw, from the stored readings.

        Args:
            now_s: wall clock.
            step_s: by how much the clock was set ahead since: the readings are of its former course.
        """
        if self._meter is None:
            return
        until_s = SLOT_S * math.floor((now_s - step_s) / SLOT_S)
        try:
            means = self._meter(until_s - MAX_SLOTS * SLOT_S, until_s, SLOT_S)
        except StoreError as error:
            log.warning("what was drawn before the start is not known", extra={"reason": str(error)})
            return
        for mean in means:
            if mean.mean_w is not None and mean.covered_frac >= COVERED_FRAC:
                self._history.take(mean.start_s + step_s + SLOT_S / 2, mean.mean_w)

    def shift(self, step_s: float) -> None:
        """Move what was seen with a clock that was set ahead by so much, and guess baselines anew."""
        self._history.shift(step_s)
        self._guesses.clear()

    def by_rule(
        self, programme: Programme, start_s: float, now_s: float, end_s: float | None = None
    ) -> Reference | None:
        """The baseline by the programme's own rule, its mean until `end_s` where that is told."""
        if programme.baseline.method is BaselineMethod.MAXIMUM_BASE_LOAD and programme.baseline.maximum_w is not None:
            return Reference(programme.baseline.maximum_w, Origin.PROGRAMME)
        value_w = self._by_store(programme, start_s, now_s, end_s)
        return None if value_w is None else Reference(value_w, Origin.PROGRAMME)

    def baseline(
        self, programme: Programme, start_s: float, now_s: float, end_s: float | None = None
    ) -> Reference | None:
        """The baseline by the programme's rule, else by what was seen before the start, else the present draw."""
        ruled = self.by_rule(programme, start_s, now_s, end_s)
        if ruled is not None:
            return ruled
        prepare_s = self._prepare_s if programme.prepare_s is None else programme.prepare_s
        until_s = min(start_s - prepare_s, now_s)
        before_w = self._history.mean_w(until_s - programme.baseline.window_s, until_s)
        if before_w is not None:
            return Reference(before_w, Origin.METER_BEFORE)
        return self.present(start_s, now_s)

    def present(self, start_s: float, now_s: float) -> Reference | None:
        """What was drawn when an interval began, or is drawn now where that was not seen."""
        drawn_w = self._history.at(min(start_s, now_s))
        if drawn_w is None:
            drawn_w = self._history.at(now_s)
        if drawn_w is not None:
            return Reference(drawn_w, Origin.PRESENT)
        return None if self._modelled_w is None else Reference(self._modelled_w, Origin.MODELLED)

    def _by_store(self, programme: Programme, start_s: float, now_s: float, end_s: float | None) -> float | None:
        if self._baselines is None:
            return None
        key, has_begun = (programme.name, start_s, end_s), now_s >= start_s
        guess = self._guesses.get(key)
        if guess is not None and now_s - guess.made_s < GUESS_S and not (has_begun and guess.made_s < start_s):
            return guess.value_w
        try:
            value_w = self._baselines.baseline_w(programme, start_s, now_s, end_s)
        except StoreError as error:
            log.warning("baseline not read", extra={"programme": programme.name, "reason": str(error)})
            value_w = None
        if len(self._guesses) >= _MAX_GUESSES:
            self._guesses.clear()
        self._guesses[key] = _Guess(now_s, value_w)
        return value_w
