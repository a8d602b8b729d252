"""The VENs of OpenADR 2.0b of a service; `openleadr` is imported only where there is one."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import ConfigError
from controller.model.meter import MeterReader
from controller.openadr.feed import SpanFeed
from controller.openadr2.metrics import Ven2Metrics
from controller.openadr2.specs import Ven2Spec
from controller.signals.calls import CallBook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Following2:
    """What all VENs share.

    Attributes:
        works: where the VENs' runs are counted and shown.
        means: of the meter store.
        feeds: of the service; those that events tell are bound to their VTN.
    """

    book: CallBook
    clock: Clock
    registry: CollectorRegistry
    on_change: Callable[[], None]
    works: Works
    means: MeterReader | None = None
    feeds: tuple[object, ...] = ()


@contextlib.asynccontextmanager
async def following2(specs: tuple[Ven2Spec, ...], world: Following2) -> AsyncIterator[None]:
    """Follow VTNs until the end.

    Raises:
        ConfigError: `openleadr` is not installed, or a certificate cannot be read.
    """
    if not specs:
        yield
        return
    try:
        from controller.openadr2.ven import Ven2, Ven2Parts
    except ImportError as error:
        raise ConfigError("openadr2: openleadr is not installed; pip install 'wattroute[openadr2]'") from error
    logging.getLogger("openleadr").setLevel(logging.WARNING)  # it tells each message, whole
    metrics = Ven2Metrics(world.registry)
    async with contextlib.AsyncExitStack() as stack:
        for spec in specs:
            _look(spec)
            parts = Ven2Parts(world.book, world.clock, random.SystemRandom(), metrics, world.means, world.on_change)
            ven = Ven2(spec, parts)
            for feed in world.feeds:
                if isinstance(feed, SpanFeed) and feed.vtn == spec.name:
                    feed.bind(ven.desk)
            await stack.enter_async_context(in_background(ven.run, Work.OPENADR2, spec.name, works=world.works))
        yield


def _look(spec: Ven2Spec) -> None:
    for file in (spec.certificate_file, spec.key_file, spec.ca_file):
        if file is not None and not file.is_file():
            raise ConfigError(f"openadr2.{spec.name}: {file}: no such file; correct the path")
