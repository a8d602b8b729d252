"""What a service keeps of the grid's calls and of the site's meter, and the desks that follow both."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from controller.loop.clock_desk import ClockDesk, ClockParts, opened_clock
from controller.loop.grid_desk import GridDesk, LinkFile, open_calls
from controller.loop.meter_desk import MeterDesk, MeterDeskParts
from controller.loop.ramp_desk import RampDesk, opened_ramps
from controller.metrics.grid import GridMetrics
from controller.service.options import Frame
from controller.service.proof import Proof
from controller.signals import derates
from controller.signals.calls import CallBook
from controller.signals.clock_steps import ClockSteps
from controller.signals.derates import DerateBook
from controller.signals.references import References
from controller.store.baselines import MeterBaselines
from controller.store.ledger import Journal
from controller.store.meter import FILE_NAME as METER_NAME
from controller.store.meter import MeterStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GridBooks:
    """What outlasts the process.

    Attributes:
        store: the site's power, second by second.
        references: what relative calls are counted from.
        links: kept beside the book's records.
        steps: tells of a clock that was set.
        derates: when the site offers less than it could shed.
    """

    store: MeterStore
    baselines: MeterBaselines
    references: References
    book: CallBook
    links: LinkFile
    steps: ClockSteps
    derates: DerateBook


@contextlib.contextmanager
def opened_books(frame: Frame, ledger: Journal) -> Iterator[GridBooks]:
    """The books as a former process left them.

    Raises:
        StoreError: the meter store cannot be opened.
    """
    options, prepare_s = frame.options, frame.policy.prepare_s
    with contextlib.closing(MeterStore(options.data_dir / METER_NAME, options.retention)) as store:
        baselines = MeterBaselines(store, prepare_s=prepare_s)
        references = References(baselines, prepare_s=prepare_s, meter=store.means)
        book, links, steps = open_calls(options.data_dir, ledger, options.programmes, references, frame.clock)
        yield GridBooks(store, baselines, references, book, links, steps, _derates(ledger, frame.clock.wall_s()))


def _derates(ledger: Journal, now_s: float) -> DerateBook:
    book = DerateBook(ledger)
    kept = ledger.records(derates.RECORD_KIND, last=derates.RESTORED_RECORDS)
    if restored := book.restore((record.payload for record in kept), now_s):
        log.warning("derates restored", extra={"count": restored})
    return book


@dataclass(frozen=True, slots=True)
class GridDesks:
    """What looks at each status of the loop.

    Attributes:
        hours: watches the machine's clock.
        grid: tells what holds now.
        ramps: tells others that power comes and goes.
        meter: keeps the site's power, and settles.
    """

    hours: ClockDesk
    grid: GridDesk
    ramps: RampDesk
    meter: MeterDesk


@contextlib.asynccontextmanager
async def opened_desks(frame: Frame, books: GridBooks, proof: Proof) -> AsyncIterator[GridDesks]:
    """The desks over the books, until the end."""
    site, options, clock, registry = frame.site, frame.options, frame.clock, frame.telemetry.registry
    async with contextlib.AsyncExitStack() as stack:
        hours = await stack.enter_async_context(
            opened_clock(ClockParts(books.book, books.steps, clock, frame.works, options.clock), registry)
        )
        grid = GridDesk(
            books.book,
            books.references,
            GridMetrics(registry),
            standing_limit_w=site.import_limit_w,
            clock=lambda: hours.view,
        )
        ramps = await stack.enter_async_context(
            opened_ramps(options.data_dir, site.name, clock, registry, lambda: grid.status)
        )
        parts = MeterDeskParts(books.store, books.baselines, options.programmes, proof.recorder, proof.readings_told_s)
        meter = stack.enter_context(contextlib.closing(MeterDesk(parts, registry)))
        yield GridDesks(hours, grid, ramps, meter)
