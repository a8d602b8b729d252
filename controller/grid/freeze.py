"""Freezes what a call's limits are counted from as its intervals begin, so that nothing later moves them (R6); pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

from controller.grid.kept import KeptCall, Origin, PresentDraw, Reference, from_present, needs_baseline
from controller.grid.resolve import References
from controller.model.programme import Programme


class ReferenceSource(Protocol):
    """Tells what calls are counted from."""

    def by_rule(
        self, programme: Programme, start_s: float, now_s: float, end_s: float | None = None
    ) -> Reference | None:
        """The baseline by the programme's own rule, its mean until `end_s` where that is told."""

    def baseline(
        self, programme: Programme, start_s: float, now_s: float, end_s: float | None = None
    ) -> Reference | None:
        """The same, else the next best that is known."""

    def present(self, start_s: float, now_s: float) -> Reference | None:
        """What was drawn when an interval began."""


@dataclass(frozen=True, slots=True)
class Froze:
    """A call with its references.

    Attributes:
        kept: with everything frozen that has begun; the very same where nothing was frozen just now.
        references: to resolve it by: frozen where it has begun, guessed where it is to come.
        steps: where each reference comes from that was frozen just now.
    """

    kept: KeptCall
    references: References
    steps: tuple[Origin, ...] = ()


def freeze(kept: KeptCall, programme: Programme, source: ReferenceSource, now_s: float) -> Froze:
    """Freeze what has begun and is known; what is not known yet is tried again at the next look."""
    frozen, steps = kept.frozen, []
    baseline, (start_s, end_s) = frozen.baseline, kept.span_at(now_s)
    if frozen.frozen_s is None and not kept.is_over(now_s):
        needed = needs_baseline(kept.call, programme)
        tell = source.baseline if needed else source.by_rule
        baseline = tell(programme, start_s, now_s, end_s)
        if now_s >= start_s and (baseline is not None or not needed):
            frozen = dataclasses.replace(frozen, baseline=baseline, frozen_s=now_s)
            steps += [] if baseline is None else [baseline.origin]
    begun, guessed = _present(kept, programme, source, now_s)
    if begun:
        frozen = dataclasses.replace(frozen, present=(*frozen.present, *begun))
        steps += [draw.origin for draw in begun]
    references = References(
        None if baseline is None else baseline.value_w,
        (*((draw.start_s, draw.value_w) for draw in frozen.present), *guessed),
    )
    same = frozen == kept.frozen
    return Froze(kept if same else dataclasses.replace(kept, frozen=frozen), references, tuple(steps))


def _present(
    kept: KeptCall, programme: Programme, source: ReferenceSource, now_s: float
) -> tuple[tuple[PresentDraw, ...], tuple[tuple[float, float], ...]]:
    """Draws of intervals that began and were not frozen, and guesses for those to come."""
    begun, guessed = [], []
    known = {draw.start_s for draw in kept.frozen.present}
    for interval in from_present(kept.call, programme):
        start_s, end_s = kept.interval_at(interval, now_s)
        if interval.start_s in known or end_s <= now_s or kept.is_over(now_s):
            continue
        reference = source.present(start_s, now_s)
        if reference is None:
            continue
        if start_s <= now_s:
            begun.append(PresentDraw(interval.start_s, reference.value_w, reference.origin))
        else:
            guessed.append((interval.start_s, reference.value_w))
    return tuple(begun), tuple(guessed)
