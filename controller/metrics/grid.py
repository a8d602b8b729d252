"""Metrics of calls, of the sources they come from, and of the site's limit; labels are bounded, unknown is NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter

from controller.grid.admit import Refusal
from controller.grid.easing import present
from controller.grid.kept import Origin
from controller.grid.loss import LinkState
from controller.grid.site_limit import SiteLimit
from controller.metrics.naming import NamedMetrics
from controller.model.call import CallState
from controller.signals.call_views import CallView

MAX_SOURCES = 32


class GridMetrics:
    """Holds the metrics; every method only sets values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = NamedMetrics(registry)
        gauge, counter = make.gauge, make.counter
        self._silent_s = gauge("grid_source_silent_seconds", "Time since a source of calls was heard.", ("source",))
        self._lost = gauge("grid_source_lost", "1 while a source of calls is lost.", ("source",))
        self._default = gauge("grid_default_limit", "1 while the default limit of a lost source holds.", ("source",))
        self._calls = gauge("grid_calls", "Calls held, by state.", ("state",))
        self._in_part = gauge("grid_calls_in_part", "Calls in force or to come that the operator follows in part.")
        self._unresolved = gauge("grid_unresolved", "Intervals of calls in force or to come that cannot be followed.")
        self._limit_w = gauge("grid_limit_watts", "Limit of calls and site that holds now; NaN without one.")
        self._next_w = gauge("grid_next_limit_watts", "The next other limit; NaN where none is to come, or it ends.")
        self._next_s = gauge("grid_next_limit_start_seconds", "When it begins, Unix time; NaN where none is to come.")
        self._baseline_w = gauge("grid_baseline_watts", "Frozen baseline of the call whose limit holds.")
        self._refused = _Counts(
            counter("grid_calls_refused", "Messages refused, by cause.", ("cause",)), [cause.value for cause in Refusal]
        )
        self._steps = _Counts(
            counter("grid_references", "References frozen, by where from.", ("origin",)),
            [origin.value for origin in Origin],
        )

    def show_sources(self, states: tuple[LinkState, ...], now_s: float) -> None:
        """Set how the sources stand."""
        for state in states[:MAX_SOURCES]:
            self._silent_s.labels(state.source).set(state.silent_s)
            self._lost.labels(state.source).set(state.is_lost)
            self._default.labels(state.source).set(any(event.start_s <= now_s for event in state.defaults))

    def show_calls(self, views: tuple[CallView, ...], now_s: float) -> None:
        """Set how many calls there are."""
        for state in CallState:
            self._calls.labels(state.value).set(sum(view.state is state for view in views))
        open_views = [view for view in views if view.state in (CallState.PENDING, CallState.ACTIVE)]
        self._in_part.set(sum(present(view.easings) is not None for view in open_views))
        self._unresolved.set(sum(len(view.unresolved) for view in open_views))

    def show_limit(self, limit: SiteLimit, now_s: float) -> None:
        """Set the limit that holds and the next one."""
        now, then = limit.at(now_s), limit.next_change(now_s)
        self._limit_w.set(math.nan if now is None or now.limit_w is None else now.limit_w)
        self._next_w.set(math.nan if then is None or then.limit_w is None else then.limit_w)
        self._next_s.set(math.nan if then is None else then.start_s)
        event = None if now is None else now.event
        self._baseline_w.set(math.nan if event is None or event.baseline_w is None else event.baseline_w)

    def count(self, refused: Mapping[str, int], steps: Mapping[str, int]) -> None:
        """Bring the counters to what was counted since the start."""
        self._refused.to(refused)
        self._steps.to(steps)


class _Counts:
    """A counter that follows counts kept elsewhere; what is not among its labels counts as ``other``."""

    def __init__(self, counter: Counter, labels: list[str]) -> None:
        self._counter = counter
        self._known = set(labels)
        self._shown: dict[str, int] = {}
        for label in (*labels, "other"):
            counter.labels(label)

    def to(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            grown = count - self._shown.get(name, 0)
            if grown > 0:
                self._counter.labels(name if name in self._known else "other").inc(grown)
                self._shown[name] = count
