"""Prometheus' text format 0.0.4 and OpenMetrics 1.0, written out. Pure.

Written here rather than taken from a library, since this is all the router needs of one: a scrape builds families of
plain numbers, and a worker that serves requests should hold neither a registry nor an HTTP server for it.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family:
    """One metric with all its samples.

    Args:
        name: without the suffixes ``_total``, ``_bucket``, ``_sum`` and ``_count``.
        kind: as Prometheus names it.
        text: what is measured, one sentence.
        labels: names of the labels, in the order in which samples give their values.
    """

    __slots__ = ("_labels", "_lines", "_sample", "kind", "name", "text")

    def __init__(
        self, name: str, kind: Literal["counter", "gauge", "histogram"], text: str, labels: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.kind = kind
        self.text = text
        self._labels = tuple(labels)
        self._sample = f"{name}_total" if kind == "counter" else name
        self._lines: list[str] = []

    def add(self, value: float, *labels: str) -> None:
        """Add a sample of a counter or gauge."""
        self._lines.append(f"{self._sample}{self._label_set(labels)} {float(value)!r}")

    def add_buckets(self, bounds: Sequence[float], counts: Sequence[int], total: float, *labels: str) -> None:
        """Add a histogram.

        Args:
            bounds: upper bounds, ascending.
            counts: observations per bucket, one more than bounds (the last is open above).
            total: sum of all observations.
            labels: values of the labels.
        """
        shown = self._label_set(labels)
        opened = f"{shown[:-1]}," if shown else "{"
        running = 0
        for bound, count in zip((*map(float, bounds), "+Inf"), counts, strict=True):
            running += count
            self._lines.append(f'{self.name}_bucket{opened}le="{bound}"}} {float(running)!r}')
        self._lines.append(f"{self.name}_sum{shown} {float(total)!r}")
        self._lines.append(f"{self.name}_count{shown} {float(running)!r}")

    def write(self, *, openmetrics: bool) -> str:
        """Description and samples, each line ended; OpenMetrics names a counter without its suffix."""
        name = self.name if openmetrics else self._sample
        lines = [f"# HELP {name} {self.text}", f"# TYPE {name} {self.kind}", *self._lines]
        return "\n".join(lines) + "\n"

    def _label_set(self, values: Sequence[str]) -> str:
        if not self._labels:
            return ""
        pairs = zip(self._labels, values, strict=True)
        return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs) + "}"


def exposition(families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
    """Body and content type that suit the scraper's Accept header."""
    openmetrics = "application/openmetrics-text" in accept
    text = "".join(family.write(openmetrics=openmetrics) for family in families)
    if openmetrics:
        return f"{text}# EOF\n".encode(), OPENMETRICS_TYPE
    return text.encode(), TEXT_TYPE
