"""Canaries of a service: what they told a former process, and their sending in the background."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import aiohttp

from controller.background import Work, in_background
from controller.loop.runner import Runner
from controller.loop.status import Status
from controller.model.fleet import Site
from controller.service.options import Frame
from controller.signals import quality_book
from controller.signals.canary import CanaryParts, CanaryTask
from controller.signals.canary_setup import CanarySetup
from controller.signals.present import Present
from controller.signals.quality_book import QualityBook
from controller.store.ledger import Journal

log = logging.getLogger(__name__)

_RESTORED_BARS = 10_000


def opened_quality(canary: CanarySetup, present: Present, ledger: Journal) -> QualityBook:
    """What canaries told, with the bars of a former process, as far as their subjects are there once that is known."""
    quality = canary.book(present.site(), ledger)
    told = ledger.records(quality_book.RECORD_KIND, last=_RESTORED_BARS)
    barred = quality.restore(record.payload for record in told)
    if present.is_whole:
        quality.follow(present.site())
    if barred:
        log.warning("bars restored", extra={"count": barred})
    return quality


def following(present: Present, quality: QualityBook) -> Callable[[Status], None]:
    """What keeps the book to the instances there are."""
    followed: list[Site] = []

    def follow(status: Status) -> None:
        site = present.site()
        if present.is_whole and followed != [site]:
            quality.follow(site)
            followed[:] = [site]

    return follow


@contextlib.asynccontextmanager
async def sending_canaries(
    frame: Frame, session: aiohttp.ClientSession, quality: QualityBook, runner: Runner, leads: Callable[[], bool]
) -> AsyncIterator[None]:
    """Send canaries until the end, while this controller leads; what they change is decided upon at once."""
    shown = frame.telemetry.canaries
    parts = CanaryParts(
        book=quality,
        engines=frame.endpoints.engines,
        session=session,
        clock=frame.clock,
        look=lambda: () if runner.status is None or not leads() else runner.status.observation.instances,
        on_report=lambda: shown.take(quality.report()),
        on_change=runner.hasten,
    )
    shown.take(quality.report())
    sending = CanaryTask(frame.present.site, parts, frame.options.canary.options).run
    async with in_background(sending, Work.CANARIES, works=frame.works):
        yield
