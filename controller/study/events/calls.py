"""Random calls of every form of commitment, and the terms of the programmes they belong to. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.programme import BaselineRule, Programme
from controller.study.events.settings import EventsStudySettings

PROGRAMME = "drawn"
SOURCE = "openadr:simulated"
STEPPED_S = 1800.0
"""Calls at least this long may have several intervals."""
FORMS = (
    Asked.AT_MOST_W,
    Asked.BELOW_BASELINE_W,
    Asked.BELOW_BASELINE_FRAC,
    Asked.BELOW_PRESENT_W,
    Asked.LEVEL,
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of a call, in seconds from its start; a depth of 0 asks for nothing."""

    from_s: float
    until_s: float
    depth_frac: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call as it is drawn, before anybody knows what the site draws.

    Attributes:
        form: how its depth is told.
        restores: whether the programme bounds how fast the power may rise after the end.
    """

    form: Asked
    notice_s: float
    ramp_s: float
    length_s: float
    stretches: tuple[Stretch, ...]
    restores: bool

    @property
    def depth_frac(self) -> float:
        """The deepest cut asked for."""
        return max(stretch.depth_frac for stretch in self.stretches)


def draw_call(rng: np.random.Generator, settings: EventsStudySettings) -> Wanted:
    """A random call within the bounds of the scenario."""
    length = settings.length
    length_s = 60.0 * math.exp(rng.uniform(math.log(length.least_min), math.log(length.most_min)))
    length_s = max(60.0 * length.least_min, round(length_s / settings.tick_s) * settings.tick_s)
    depth = float(rng.uniform(settings.depth.least_frac, settings.depth.most_frac))
    notices = settings.notice_s
    of_class, anywhere = float(rng.choice(notices)), float(rng.uniform(0.0, max(notices)))
    notice_s = of_class if rng.random() < 0.5 else anywhere
    ramp_s = min(float(rng.choice(settings.ramp_s)), 0.5 * length_s)
    form = FORMS[int(rng.integers(len(FORMS)))]
    second = float(rng.uniform(settings.depth.least_frac, settings.depth.most_frac))
    is_stepped, restores = bool(rng.random() < 0.2), bool(rng.random() < 0.5)
    stretches: tuple[Stretch, ...] = (Stretch(0.0, length_s, depth),)
    if is_stepped and length_s >= STEPPED_S:
        at_s = [round(share * length_s / settings.tick_s) * settings.tick_s for share in (0.4, 0.6)]
        stretches = (
            Stretch(0.0, at_s[0], depth),
            Stretch(at_s[0], at_s[1], 0.0),
            Stretch(at_s[1], length_s, second),
        )
    return Wanted(form, notice_s, ramp_s, length_s, stretches, restores)


def programme_of(wanted: Wanted, settings: EventsStudySettings, most_w: float) -> Programme:
    """The terms: the limit before the promises, the mean of the time before as baseline, levels for each depth.

    Args:
        wanted: the call.
        settings: of the scenario.
        most_w: what the site draws at most; the return takes no less than a quarter of an hour where it is bounded.
    """
    return Programme(
        PROGRAMME,
        ramp_s=wanted.ramp_s,
        restore_w_per_s=most_w / 900.0 if wanted.restores else None,
        levels=tuple(
            (number, Commitment(Asked.BELOW_BASELINE_FRAC, stretch.depth_frac))
            for number, stretch in enumerate(wanted.stretches)
            if stretch.depth_frac > 0
        ),
        settlement_interval_s=settings.settlement_interval_s,
        baseline=BaselineRule(window_s=settings.baseline_s),
    )


def call_of(wanted: Wanted, start_s: float, now_s: float, drawn_w: float) -> Call:
    """The call as it is sent at `now_s`, when the sender expects the site to draw `drawn_w` at its start."""
    intervals = tuple(
        CallInterval(start_s + stretch.from_s, start_s + stretch.until_s, _commitment(wanted, number, drawn_w))
        for number, stretch in enumerate(wanted.stretches)
    )
    return Call("call", SOURCE, PROGRAMME, now_s, now_s, intervals)


def _commitment(wanted: Wanted, number: int, drawn_w: float) -> Commitment:
    depth = wanted.stretches[number].depth_frac
    if depth == 0.0:
        return Commitment(Asked.NOTHING)
    if wanted.form is Asked.LEVEL:
        return Commitment(Asked.LEVEL, number)
    if wanted.form is Asked.BELOW_BASELINE_FRAC:
        return Commitment(wanted.form, depth)
    share = 1.0 - depth if wanted.form is Asked.AT_MOST_W else depth
    return Commitment(wanted.form, share * drawn_w)
