"""Price and carbon as the events of a VTN tell them."""

from __future__ import annotations

from typing import Protocol

from controller.model.grid import Series
from controller.model.observation import Missing
from controller.openadr.events import Span
from controller.openadr.series import series_at


class Told(Protocol):
    """Events that tell prices or emissions."""

    @property
    def version(self) -> int:
        """Grows with every change."""

    def spans(self, kind: str) -> tuple[Span, ...]:
        """What they say, by the name of the signal."""


class SpanFeed:
    """A feed of what the events say that are followed.

    Attributes:
        vtn: name of the VTN.
        name: of the signal: ``price_usd_per_mwh`` of payloads PRICE, ``carbon_kg_per_mwh`` of payloads GHG.
    """

    def __init__(self, vtn: str, name: str) -> None:
        self.vtn = vtn
        self.name = name
        self._desk: Told | None = None
        self._spans: tuple[Span, ...] = ()
        self._version = -1

    def bind(self, desk: Told) -> None:
        """Tell from now on what these events say."""
        self._desk, self._version = desk, -1

    def read(self, now_s: float) -> Series | Missing:
        """What is known from now on."""
        source = f"openadr:{self.vtn}"
        if self._desk is None:
            return Missing(self.name, f"{source} is not followed yet", now_s)
        if self._version != self._desk.version:
            self._version, self._spans = self._desk.version, self._desk.spans(self.name)
        series = series_at(self._spans, self.name, source, now_s)
        return Missing(self.name, f"no event of {source} tells it for now", now_s) if series is None else series
