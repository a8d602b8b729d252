"""Where the numbers of reports come from in a service: the book of calls, the meter store, baselines and forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller.grid.easing import pieces
from controller.model.call import call_key
from controller.model.derate import Derates
from controller.model.grid import Series
from controller.model.meter import MeterReader
from controller.model.observation import Missing
from controller.model.programme import Programme
from controller.openadr.followed_levels import followed_levels
from controller.openadr.report_inputs import Expected, ReportInputs, Shed, Standing
from controller.settlement.baseline_profile import Baseline
from controller.signals.call_views import CallView
from controller.signals.calls import CallBook

STEP_S = 60.0
"""Length of the means that long spans are read in."""
SHORT_S, SHORT_STEP_S = 600.0, 5.0
MAX_STEPS = 20_000


class Baselines(Protocol):
    """Tells baselines, as the meter store does."""

    def frozen(self, call: str) -> Baseline | None:
        """The baseline that was kept of a call."""

    def baseline(self, programme: Programme, start_s: float, end_s: float, now_s: float) -> Baseline:
        """The profile over a span."""


def _nothing(now_s: float) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a service knows.

    Attributes:
        means: of the meter store; None where there is none.
        baselines: over the same store.
        programmes: terms by name.
        standing_limit_w: of the site.
        sheds: what can be shed, by horizon, without derates.
        derates: when less of it is offered.
        forecast: of the draw to come.
        carbon: emissions of the grid's energy, kg/MWh.
        idle_w: draw at or below which nothing runs; None where that is not known.
        error: why the site cannot be controlled.
        disabled: why it is left alone by choice.
    """

    book: CallBook
    means: MeterReader | None = None
    baselines: Baselines | None = None
    programmes: Mapping[str, Programme] = field(default_factory=dict)
    standing_limit_w: float | None = None
    sheds: Callable[[float], tuple[Shed, ...]] = _nothing
    derates: Callable[[float], Derates] = _nothing
    forecast: Callable[[float], tuple[Expected, ...]] = _nothing
    carbon: Callable[[float], Series | Missing] | None = None
    idle_w: float | None = None
    error: Callable[[], str | None] = lambda: None
    disabled: str | None = None


class LiveSource:
    """Gathers the inputs of reports."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def present(self, now_s: float) -> ReportInputs:
        """What is in memory; called in the controller's loop."""
        known = self._known
        views = known.book.calls(now_s)
        carbon = None if known.carbon is None else known.carbon(now_s)
        return ReportInputs(
            now_s=now_s,
            standings=tuple(_standing(view, now_s) for view in views),
            standing_limit_w=known.standing_limit_w,
            levels=tuple(
                level for view in views for level in followed_levels(view, known.programmes.get(view.call.programme))
            ),
            forecast=known.forecast(now_s),
            sheds=known.sheds(now_s),
            derates=known.derates(now_s),
            carbon_kg_per_mwh=_spans(carbon) if isinstance(carbon, Series) else (),
            idle_w=known.idle_w,
            error=known.error(),
            disabled=known.disabled,
        )

    def measured(
        self, inputs: ReportInputs, event_source: tuple[str, str, str], span_s: tuple[float, float]
    ) -> ReportInputs:
        """What `ReportSource` wants of it, from the meter store and the baselines that are kept.

        Raises:
            StoreError: the files cannot be read.
        """
        start_s, end_s = span_s
        power, until_s = inputs.power, min(end_s, inputs.now_s)
        if self._known.means is not None and until_s > start_s:
            short_s = SHORT_STEP_S if until_s - start_s <= SHORT_S else STEP_S
            power = self._known.means(start_s, until_s, max(short_s, (until_s - start_s) / MAX_STEPS))
        return dataclasses.replace(inputs, power=power, baseline=self._baseline(inputs, event_source, span_s))

    def _baseline(
        self, inputs: ReportInputs, event_source: tuple[str, str, str], span_s: tuple[float, float]
    ) -> tuple[Expected, ...]:
        """As it was frozen for the event's call; else as it would be frozen now. Of the past there is no other."""
        baselines, (source, event_id, name) = self._known.baselines, event_source
        programme = self._known.programmes.get(name)
        if baselines is None or programme is None:
            return ()
        found = baselines.frozen(call_key(source, event_id))
        if found is None:
            found = baselines.baseline(programme, *span_s, inputs.now_s)
        return tuple(
            Expected(each.start_s, each.end_s, each.baseline_w)
            for each in found.intervals
            if each.baseline_w is not None
        )


def _standing(view: CallView, now_s: float) -> Standing:
    """How a call stands; what cannot be followed of one that is over, or was not to be followed, matters no more."""
    is_out = view.opted_out_s is not None and view.call.opted_out is not None
    is_over = view.cancelled_s is not None or view.call.end_s <= now_s
    return Standing(
        source=view.call.source,
        call_id=view.call.call_id,
        limits=tuple(piece for event in view.events for piece in pieces(event, view.easings)),
        opted_out=(view.opted_out_s, view.call.end_s) if is_out and view.opted_out_s is not None else None,
        is_unresolved=bool(view.unresolved) and not is_out and not is_over,
    )


def _spans(series: Series) -> tuple[tuple[float, float, float], ...]:
    ends_s = (*series.starts_s[1:], series.end_s)
    return tuple(zip(series.starts_s, ends_s, series.values, strict=True))
