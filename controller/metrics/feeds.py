"""Metrics of the feeds that others tell, computed when they are asked for: an age grows while nobody answers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.clock import Clock
from controller.metrics.naming import PREFIX
from controller.model.grid import Series
from controller.signals.feeds.feed import Feed
from controller.signals.feeds.live import Condition, LiveFeed


class FeedMetrics(Collector):
    """Collects the state of each live feed; `feed` is the name of its signal."""

    def __init__(self, feeds: tuple[Feed, ...], clock: Clock) -> None:
        self._feeds = tuple(feed for feed in feeds if isinstance(feed, LiveFeed))
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """All feeds as they stand."""
        now_s = self._clock.wall_s()
        age = _gauge("feed_age_seconds", "Time since a feed's last good answer; NaN without one.")
        ahead = _gauge("feed_ahead_seconds", "How far ahead a feed is known without a gap; NaN while it is missing.")
        state = _gauge("feed_condition", "1 for how far a feed can be believed.", "condition")
        info = _gauge("feed_info", "1 for who tells a feed, and how its values came about.", "source", "quality")
        answers = _counter("feed_answers", "Good answers of a feed's publisher.")
        errors = _counter("feed_errors", "Questions to a feed's publisher that came to nothing.")
        for feed in self._feeds:
            told, series = feed.state(now_s), feed.read(now_s)
            age.add_metric([feed.name], math.nan if told.age_s is None else told.age_s)
            ahead.add_metric([feed.name], math.nan if told.ends_s is None else told.ends_s - now_s)
            for each in Condition:
                state.add_metric([feed.name, each.value], float(each is told.condition))
            quality = series.quality.value if isinstance(series, Series) else "missing"
            info.add_metric([feed.name, feed.source, quality], 1.0)
            answers.add_metric([feed.name], told.answers)
            errors.add_metric([feed.name], told.errors)
        yield from (age, ahead, state, info, answers, errors)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=["feed", *labels])


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=["feed"])
