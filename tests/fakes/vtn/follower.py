"""A VEN that follows a fake VTN, with a real book of calls and a clock that a test moves."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from controller.clock import VirtualClock
from controller.model.call import CallState
from controller.model.programme import Programme
from controller.openadr.draws import Draws
from controller.openadr.metrics import OpenAdrMetrics, VenMetrics
from controller.openadr.specs import VenSpec
from controller.openadr.ven import Ven, VenParts
from controller.ports import Recorder
from controller.signals.calls import CallBook, CallView
from controller.signals.references import References
from tests.fakes.controller_parts import ListRecorder
from tests.fakes.vtn.client import client_of
from tests.fakes.vtn.server import FakeVtn

TERMS = Programme("dr", default_limit_w=5000.0, hold_s=300.0, most_w=1e6, changes_per_min=1000)


class Follower:
    """What a test looks at.

    Attributes:
        hastened: how often the loop was told that something has changed.
    """

    def __init__(self, ven: Ven, book: CallBook, clock: VirtualClock, registry: CollectorRegistry) -> None:
        self.ven, self.book, self.clock, self.registry = ven, book, clock, registry
        self.hastened = 0

    async def poll(self, later_s: float = 0.0) -> float | None:
        self.clock.advance(later_s)
        return await self.ven.poll()

    def views(self) -> dict[str, CallView]:
        return {view.call.call_id: view for view in self.book.calls(self.clock.wall_s())}

    def live(self) -> set[str]:
        over = (CallState.ENDED, CallState.CANCELLED)
        return {call_id for call_id, view in self.views().items() if view.state not in over}

    def limits_w(self) -> list[float]:
        return [event.limit_w for event in self.book.current(self.clock.wall_s())]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"wattroute_controller_openadr_{name}", {"vtn": "utility", **labels})


@contextlib.asynccontextmanager
async def follower(
    vtn: FakeVtn,
    folder: Path,
    *,
    recorder: Recorder | None = None,
    programmes: Mapping[str, str] | None = None,
    book: CallBook | None = None,
    terms: Programme = TERMS,
    **options: Any,
) -> AsyncIterator[Follower]:
    """A VEN of the programme ``shed``, on the terms of ``dr``."""
    clock = VirtualClock(time.time())
    references = References()
    references.take(clock.wall_s() - 1, 20_000.0)
    book = book or CallBook(recorder or ListRecorder(), {"dr": terms}, references)
    spec = VenSpec("utility", vtn.url, {"shed": "dr"} if programmes is None else programmes, **options)
    registry = CollectorRegistry()
    async with client_of(vtn, folder, clock=clock) as client:
        metrics = VenMetrics(OpenAdrMetrics(registry), "utility")
        found: list[Follower] = []

        def hastened() -> None:
            found[0].hastened += 1

        ven = Ven(spec, VenParts(client, book, clock, random.Random(7), Draws(7), metrics, hastened))
        found.append(Follower(ven, book, clock, registry))
        yield found[0]
