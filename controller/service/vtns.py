"""The servers of OpenADR that a service follows, and what it tells them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry

from controller.lifecycle.policy import Mode
from controller.loop.capability_desk import CapabilityDesk
from controller.loop.runner import Runner
from controller.openadr.idle import idle_w
from controller.openadr.plan_forecast import planned_draw
from controller.openadr.report_source import Known
from controller.openadr.running import Following, following
from controller.openadr.telling import Teller, Telling
from controller.openadr.ven import Ven
from controller.openadr2.running import Following2, following2
from controller.service.grid_side import GridBooks
from controller.service.options import Frame


@contextlib.asynccontextmanager
async def followed_vtns(
    frame: Frame, books: GridBooks, shed: CapabilityDesk, runner: Runner, registry: CollectorRegistry
) -> AsyncIterator[tuple[Ven, ...]]:
    """Follow the servers until the end, those of OpenADR 2.0b too; what they call is decided upon at once.

    `registry` takes the metrics of all of it.

    Raises:
        ConfigError: a file of TLS cannot be used, or `openleadr` is not installed.
        ListenError: the port of a callback cannot be had.
    """
    options, clock, works = frame.options, frame.clock, frame.works
    book, feeds = books.book, frame.feeds.both
    async with contextlib.AsyncExitStack() as stack:
        world = Telling(options.data_dir, known(frame, books, shed, runner), clock, registry, works)
        teller = _opened_teller(stack, frame, world)
        followed2 = Following2(book, clock, registry, runner.hasten, works, books.store.means, feeds)
        await stack.enter_async_context(following2(options.vens2, followed2))
        followed = following(options.vens, Following(book, clock, registry, runner.hasten, works, feeds, teller))
        yield await stack.enter_async_context(followed)


def known(frame: Frame, books: GridBooks, shed: CapabilityDesk, runner: Runner) -> Known:
    """What reports are made of."""
    site, mode = frame.site, frame.policy.mode
    return Known(
        books.book,
        books.store.means,
        books.baselines,
        frame.options.programmes,
        site.import_limit_w,
        sheds=shed.sheds,
        derates=books.derates.current,
        forecast=lambda now_s: planned_draw(
            runner.status.decision.plan if runner.status and runner.status.decision else None
        ),
        carbon=frame.feeds.carbon_kg_per_mwh.read,
        idle_w=idle_w(site),
        error=lambda: None if runner.status and runner.status.decision else "nothing is decided yet",
        disabled=None if mode is Mode.ACT else f"mode is {mode.value}",
    )


def _opened_teller(stack: contextlib.AsyncExitStack, frame: Frame, world: Telling) -> Teller | None:
    """What sets up reports and notifications; None where no VTN is followed."""
    if not frame.options.vens:
        return None
    teller = Teller(world)
    stack.callback(teller.close)
    return teller
