"""The controller as one service: its parts put together from plain arguments. Settings are read elsewhere."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import aiohttp

from controller.actuators.loads_board import LoadsBoard
from controller.actuators.rates_board import RatesBoard
from controller.background import Works
from controller.clock import Clock, SystemClock
from controller.dashboard.api import Api, ApiParts, Facility
from controller.dashboard.board import Board
from controller.dashboard.standby import orders_to_the_leader
from controller.lifecycle.handback import unproven
from controller.lifecycle.policy import Mode
from controller.loop.capability_desk import CapabilityDesk, opened_capability
from controller.loop.continuity import Continuity, after_step
from controller.loop.energy_desk import DeskParts, EnergyDesk, Opened, open_book
from controller.loop.leadership import Leadership
from controller.loop.load_desk import LoadDesk
from controller.loop.runner import Decide, Runner, RunnerParts
from controller.loop.status import Status
from controller.loop.succession_parts import NoGpus
from controller.loop.threshold_desk import ThresholdDesk
from controller.metrics.background import BackgroundMetrics
from controller.metrics.energy import EnergyMetrics
from controller.metrics.feeds import FeedMetrics
from controller.metrics.telemetry import Telemetry
from controller.model.fleet import Site
from controller.model.observation import Observation
from controller.service.acting import (
    Tables,
    custody_of,
    instance_tasks,
    opened_releasing,
    opened_starting,
    opened_tables,
    restoring_tables,
)
from controller.service.canaries import following, opened_quality, sending_canaries
from controller.service.gpu_limits import limiting_gpus, opened_limiter
from controller.service.grid_side import GridDesks, opened_books, opened_desks
from controller.service.leading import (
    Announcement,
    Charge,
    LeadersLoads,
    LeadersRates,
    on_the_leader,
    opened_leadership,
)
from controller.service.options import Endpoints, Feeds, Frame, ServiceOptions
from controller.service.proof import Proof, opened_proof
from controller.service.serving import Service, build_app
from controller.service.sources import Counted, ServiceSources, opened_sources
from controller.service.vtns import followed_vtns
from controller.signals.present import Present
from controller.tick import Decision, Memory, Planner, TickPolicy, decide


@contextlib.asynccontextmanager
async def assemble(
    site: Site,
    policy: TickPolicy,
    planner: Planner,
    *,
    endpoints: Endpoints,
    feeds: Feeds,
    options: ServiceOptions,
    works: Works,
    clock: Clock | None = None,
) -> AsyncIterator[Service]:
    """Build the service; sessions, ledger and connections are closed at the end.

    `works` is where background work is counted; what it says is told by the metrics and the page.

    Raises:
        StoreError: the ledger or the meter store cannot be opened.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        telemetry = Telemetry(site, policy.precedence)
        BackgroundMetrics(telemetry.registry, works)
        present = Present(site, endpoints.rosters)
        frame = Frame(site, present, policy, endpoints, feeds, options, works, clock, telemetry)
        proof = stack.enter_context(_opened_proof(frame))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512, limit_per_host=8))
        )
        books = stack.enter_context(opened_books(frame, proof.recorder))
        quality = opened_quality(options.canary, present, proof.recorder)
        continuity = Continuity(options.data_dir, site)
        inherited = continuity.take_up(clock.wall_s())
        account = open_book(options.data_dir, site, options.joules, clock.wall_s())
        counted = Counted(inherited.counted, account.tokens)
        sources = await stack.enter_async_context(
            opened_sources(frame, session, counted, calls=books.book, barred=quality.barred)
        )
        identity = None if options.election is None else options.election.identity
        tables = await stack.enter_async_context(opened_tables(endpoints, clock, identity))
        telemetry.registry.register(FeedMetrics(feeds.both, clock))
        rates, loads = RatesBoard(), LoadsBoard()
        desks = await stack.enter_async_context(opened_desks(frame, books, proof))
        starting = await stack.enter_async_context(opened_starting(frame, session, lambda: leadership.may_act()))
        releasing = await stack.enter_async_context(opened_releasing(frame))
        tasks = instance_tasks(frame, starting, releasing)
        tasks.doubt(unproven(inherited.sleepers))
        custody = custody_of(frame, tasks, inherited.sleepers, books.book.current)
        limiter = await stack.enter_async_context(
            opened_limiter(frame, lambda: leadership.share_found(), lambda: leadership.may_act())
        )
        changed = Announcement()
        charge = Charge(
            tables, tasks, books.book, quality, books.derates, take=custody.take_charge, gpus=limiter or NoGpus()
        )
        leadership = await stack.enter_async_context(opened_leadership(frame, charge, changed))
        energy = _energy_desk(frame, account, rates, _rates_store(tables, leadership), sources)
        offered = opened_capability(options.shed_planner, clock, telemetry.registry, books.derates.current)
        shed = await stack.enter_async_context(offered)
        board = _board(frame, sources, desks, shed, leadership)
        limiting = await stack.enter_async_context(limiting_gpus(frame, limiter, lambda: leadership.has_heir))
        parts = RunnerParts(
            source=sources.collector,
            decide=_deciding(frame, planner, leadership, plans=True),
            at_once=_deciding(frame, planner, leadership, plans=False),
            publishers=(*tables.publishers, *(each for each in (starting.marks, releasing) if each is not None)),
            instances=tasks,
            custody=custody,
            recorder=proof.recorder,
            telemetry=telemetry,
            clock=clock,
            keep=books.links.keeping(continuity.keeper(lambda: sources.routers.counted, proof.heads.heads)),
            desk=energy,
            loads=_load_desk(frame, loads, tables, leadership, sources),
            after_step=functools.partial(after_step, site),
            leadership=leadership,
            watchers=(
                following(present, quality),
                *limiting,
                ThresholdDesk(books.book, options.programmes, leadership.may_act).take,
                *_watchers(desks, shed, board, proof, sources, leadership),
            ),
        )
        runner = Runner(parts, inherited.memory, options.pace)
        changed.tell(runner.hasten)
        books.steps.tell(runner.clock_set)
        facility = Facility(site.name, site.import_limit_w, options.load_target_programme)
        told = ApiParts(
            tables.board,
            rates,
            loads,
            books.book,
            runner,
            telemetry,
            clock,
            quality,
            facility,
            desks.ramps,
            shed.current,
            books.derates,
        )
        orders = orders_to_the_leader(lambda: leadership.status, lambda: leadership.share_asked(clock.wall_s()))
        app = build_app(Api(told), board, options.token, orders)
        await stack.enter_async_context(restoring_tables(tables, leadership.may_act, clock, works))
        await stack.enter_async_context(sending_canaries(frame, session, quality, runner, leadership.may_act))
        follow = functools.partial(followed_vtns, frame, books, shed, runner)
        await stack.enter_async_context(on_the_leader(frame, leadership, follow, books.book.links.rest))
        yield Service(app, runner, board, proof.ledger, books.book)


def _opened_proof(frame: Frame) -> contextlib.AbstractContextManager[Proof]:
    options = frame.options
    return opened_proof(
        options.data_dir,
        frame.site,
        options.programmes,
        options.proof,
        mode=frame.policy.mode,
        keep_records=options.keep_records,
        clock=frame.clock,
        registry=frame.telemetry.registry,
    )


def _deciding(frame: Frame, planner: Planner, leadership: Leadership, *, plans: bool) -> Decide:
    """How the loop decides: a standby plans nothing anew and does nothing, whatever the mode."""
    standing_by = replace(frame.policy, mode=Mode.OBSERVE)

    def decided(memory: Memory, observation: Observation) -> Decision:
        leads = leadership.may_act()
        policy = frame.policy if leads else standing_by
        return decide(frame.site, policy, planner, memory, observation, plans=plans and leads)

    return decided


def _rates_store(tables: Tables, leadership: Leadership) -> LeadersRates | None:
    return None if tables.redis is None else LeadersRates(tables.redis, leadership)


def _load_desk(
    frame: Frame, board: LoadsBoard, tables: Tables, leadership: Leadership, sources: ServiceSources
) -> LoadDesk:
    """The desk that tells what is read of the engines, to whom tables are told."""
    store = None if tables.redis is None else LeadersLoads(tables.redis, leadership)
    return LoadDesk(board, lambda: sources.routers.there, began_s=frame.clock.wall_s(), store=store)


def _energy_desk(
    frame: Frame, account: Opened, rates: RatesBoard, store: LeadersRates | None, sources: ServiceSources
) -> EnergyDesk:
    """The desk that keeps the account of requests' energy, where rates are told to whom tables are told."""
    return EnergyDesk(
        DeskParts(
            account.book,
            EnergyMetrics(frame.telemetry.registry),
            rates,
            account.file,
            frame.options.joules.idle.value,
            store,
            tokens=lambda: sources.routers.tokens,
        )
    )


def _board(
    frame: Frame, sources: ServiceSources, desks: GridDesks, shed: CapabilityDesk, leadership: Leadership
) -> Board:
    return Board(
        frame.site,
        frame.policy.mode.value,
        sources.engines.latency.quantiles,
        frame.policy.reading_stale_s,
        lambda: desks.grid.status,
        capability=shed.current,
        background=lambda: frame.works.failing,
        leadership=lambda: leadership.status,
    )


def _watchers(
    desks: GridDesks,
    shed: CapabilityDesk,
    board: Board,
    proof: Proof,
    sources: ServiceSources,
    leadership: Leadership,
) -> tuple[Callable[[Status], None], ...]:
    """What looks at each status of the loop, in the order in which one goes by what another has made of it."""
    latency = sources.engines.latency
    return (
        lambda status: desks.hours.take(),
        lambda status: desks.meter.take(status.observation),
        desks.grid.take,
        lambda status: desks.ramps.take(status) if leadership.may_act() else None,
        shed.take,
        board.take,
        lambda status: proof.take(status.observation.now_s, latency.quantiles(), sources.routers.service),
    )
