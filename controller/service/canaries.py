"""Canaries of a service: what they told a former process, and their sending in the background."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

import aiohttp

from controller.background import Work, in_background
from controller.loop.runner import Runner
from controller.model.fleet import Site
from controller.service.options import Frame
from controller.signals import quality_book
from controller.signals.canary import CanaryParts, CanaryTask
from controller.signals.canary_setup import CanarySetup
from controller.signals.quality_book import QualityBook
from controller.store.ledger import Journal

log = logging.getLogger(__name__)

_RESTORED_BARS = 10_000


def opened_quality(canary: CanarySetup, site: Site, ledger: Journal) -> QualityBook:
    """What canaries told, with the bars of a former process."""
    quality = canary.book(site, ledger)
    told = ledger.records(quality_book.RECORD_KIND, last=_RESTORED_BARS)
    barred = quality.restore(record.payload for record in told)
    if barred:
        log.warning("bars restored", extra={"count": barred})
    return quality


@contextlib.asynccontextmanager
async def sending_canaries(
    frame: Frame, session: aiohttp.ClientSession, quality: QualityBook, runner: Runner
) -> AsyncIterator[None]:
    """Send canaries until the end; what they change is decided upon at once."""
    shown = frame.telemetry.canaries
    parts = CanaryParts(
        book=quality,
        engines=frame.endpoints.engines,
        session=session,
        clock=frame.clock,
        look=lambda: () if runner.status is None else runner.status.observation.instances,
        on_report=lambda: shown.take(quality.report()),
        on_change=runner.hasten,
    )
    shown.take(quality.report())
    sending = CanaryTask(frame.site, parts, frame.options.canary.options).run
    async with in_background(sending, Work.CANARIES, works=frame.works):
        yield
