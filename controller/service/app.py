"""The controller as one service: its parts put together from plain arguments. Settings are read elsewhere."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import AsyncIterator

import aiohttp

from controller.actuators.allocation_http import AllocationBoard
from controller.actuators.allocation_redis import RedisPublisher
from controller.actuators.engines import EngineDriver
from controller.actuators.instance_tasks import InstanceDriver, InstanceTasks
from controller.actuators.rates_board import RatesBoard
from controller.actuators.supervisor import SupervisorDriver
from controller.background import Work, Works, in_background
from controller.clock import Clock, SystemClock
from controller.dashboard.api import Api, ApiParts, Facility
from controller.dashboard.board import Board
from controller.lifecycle.policy import Mode
from controller.loop.capability_desk import opened_capability
from controller.loop.clock_desk import ClockParts, opened_clock
from controller.loop.continuity import Continuity, after_step
from controller.loop.custody import Custody, CustodyOptions, firm_limit_of
from controller.loop.energy_desk import DeskParts, EnergyDesk, open_book
from controller.loop.grid_desk import GridDesk, open_calls
from controller.loop.meter_desk import MeterDesk, MeterDeskParts
from controller.loop.ramp_desk import opened_ramps
from controller.loop.runner import Runner, RunnerParts
from controller.metrics.background import BackgroundMetrics
from controller.metrics.energy import EnergyMetrics
from controller.metrics.feeds import FeedMetrics
from controller.metrics.grid import GridMetrics
from controller.metrics.telemetry import Telemetry
from controller.model.fleet import Site
from controller.openadr.idle import idle_w
from controller.openadr.plan_forecast import planned_draw
from controller.openadr.report_source import Known
from controller.openadr.running import Following, following
from controller.openadr.telling import Teller, Telling
from controller.openadr2.running import Following2, following2
from controller.service.options import Endpoints, Feeds, ServiceOptions
from controller.service.proof import opened_proof
from controller.service.serving import Service, build_app
from controller.signals import quality_book
from controller.signals.canary import CanaryParts, CanaryTask
from controller.signals.canary_setup import CanarySetup
from controller.signals.collect import Collector, Sources
from controller.signals.engines import EngineSource
from controller.signals.power.open_source import open_power
from controller.signals.power.reader import PowerSources
from controller.signals.power.specs import PowerSpecs
from controller.signals.quality_book import QualityBook
from controller.signals.references import References
from controller.signals.routers import RouterSource
from controller.store.baselines import MeterBaselines
from controller.store.ledger import Journal
from controller.store.meter import FILE_NAME as METER_NAME
from controller.store.meter import MeterStore
from controller.tick import Planner, TickPolicy, decide

log = logging.getLogger(__name__)

_RESTORED_BARS = 10_000


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
        proof = stack.enter_context(
            opened_proof(
                options.data_dir,
                site,
                options.programmes,
                options.proof,
                mode=policy.mode,
                keep_records=options.keep_records,
                clock=clock,
                registry=telemetry.registry,
            )
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512, limit_per_host=8))
        )
        store = stack.enter_context(contextlib.closing(MeterStore(options.data_dir / METER_NAME, options.retention)))
        baselines = MeterBaselines(store, prepare_s=policy.prepare_s)
        references = References(baselines, prepare_s=policy.prepare_s, meter=store.means)
        book, links, steps = open_calls(options.data_dir, proof.recorder, options.programmes, references, clock)
        quality = _opened_quality(options.canary, site, proof.recorder)
        continuity = Continuity(options.data_dir, site)
        inherited = continuity.take_up(clock.wall_s())
        observed = EngineSource(
            session,
            site,
            engines=endpoints.engines,
            supervisor_url=endpoints.supervisor_url,
            timeout_s=options.timeout_s,
        )
        account = open_book(options.data_dir, site, options.joules, clock.wall_s())
        routers = RouterSource(session, endpoints.router_urls, options.timeout_s, inherited.counted, account.tokens)
        sources = Sources(
            power=await stack.enter_async_context(_opened_power(endpoints.power, clock, works)),
            engines=observed,
            routers=routers,
            price_usd_per_mwh=feeds.price_usd_per_mwh,
            carbon_kg_per_mwh=feeds.carbon_kg_per_mwh,
            calls=book,
            barred=quality.barred,
        )
        allocation = AllocationBoard()
        redis = _redis(endpoints, clock)
        if redis is not None:
            stack.push_async_callback(redis.close)
        telemetry.registry.register(FeedMetrics(feeds.both, clock))
        rates = RatesBoard()
        metrics = EnergyMetrics(telemetry.registry)
        desk = EnergyDesk(
            DeskParts(
                account.book,
                metrics,
                rates,
                account.file,
                options.joules.idle.value,
                redis,
                tokens=lambda: routers.tokens,
            )
        )
        hours = await stack.enter_async_context(
            opened_clock(ClockParts(book, steps, clock, works, options.clock), telemetry.registry)
        )
        grid = GridDesk(
            book,
            references,
            GridMetrics(telemetry.registry),
            standing_limit_w=site.import_limit_w,
            clock=lambda: hours.view,
        )
        ramps = await stack.enter_async_context(
            opened_ramps(options.data_dir, site.name, clock, telemetry.registry, lambda: grid.status)
        )
        meter = stack.enter_context(
            contextlib.closing(
                MeterDesk(
                    MeterDeskParts(store, baselines, options.programmes, proof.recorder, proof.readings_told_s),
                    telemetry.registry,
                )
            )
        )
        tasks = InstanceTasks(
            _drivers(_engine_driver(site, endpoints, options, clock), endpoints, supervisor=session), clock
        )
        custody = Custody(
            site,
            tasks,
            telemetry,
            CustodyOptions(options.on_exit, options.exit_wait_s),
            inherited.sleepers,
            firm_w=lambda now_s: firm_limit_of(book.current(now_s), site.import_limit_w, policy.precedence, now_s),
        )
        shed = await stack.enter_async_context(opened_capability(options.shed_planner, clock, telemetry.registry))
        board = Board(
            site,
            policy.mode.value,
            observed.latency.quantiles,
            policy.reading_stale_s,
            lambda: grid.status,
            capability=shed.current,
            background=lambda: works.failing,
        )
        parts = RunnerParts(
            source=Collector(site, sources, deadline_s=2 * options.timeout_s),
            decide=functools.partial(decide, site, policy, planner),
            at_once=functools.partial(decide, site, policy, planner, plans=False),
            publishers=(allocation,) if redis is None else (allocation, redis),
            instances=tasks,
            custody=custody,
            recorder=proof.recorder,
            telemetry=telemetry,
            clock=clock,
            keep=links.keeping(continuity.keeper(lambda: routers.counted, proof.heads.heads)),
            desk=desk,
            after_step=functools.partial(after_step, site),
            watchers=(
                lambda status: hours.take(),
                lambda status: meter.take(status.observation),
                grid.take,
                ramps.take,
                shed.take,
                board.take,
                lambda status: proof.take(status.observation.now_s, observed.latency.quantiles(), routers.service),
            ),
        )
        runner = Runner(parts, inherited.memory, options.pace)
        steps.tell(runner.clock_set)
        facility = Facility(site.name, site.import_limit_w, options.load_target_programme)
        told = ApiParts(allocation, rates, book, runner, telemetry, clock, quality, facility, ramps, shed.current)
        app = build_app(Api(told), board, options.token)
        canary = CanaryParts(
            book=quality,
            engines=endpoints.engines,
            session=session,
            clock=clock,
            look=lambda: () if runner.status is None else runner.status.observation.instances,
            on_report=lambda: telemetry.canaries.take(quality.report()),
            on_change=runner.hasten,
        )
        telemetry.canaries.take(quality.report())
        sending = CanaryTask(site, canary, options.canary.options).run
        await stack.enter_async_context(in_background(sending, Work.CANARIES, works=works))
        known = Known(
            book,
            store.means,
            baselines,
            options.programmes,
            site.import_limit_w,
            sheds=shed.sheds,
            forecast=lambda now_s: planned_draw(
                runner.status.decision.plan if runner.status and runner.status.decision else None
            ),
            carbon=feeds.carbon_kg_per_mwh.read,
            idle_w=idle_w(site),
            error=lambda: None if runner.status and runner.status.decision else "nothing is decided yet",
            disabled=None if policy.mode is Mode.ACT else f"mode is {policy.mode.value}",
        )
        teller = _opened_teller(stack, options, Telling(options.data_dir, known, clock, telemetry.registry, works))
        followed2 = Following2(book, clock, telemetry.registry, runner.hasten, works, store.means, feeds.both)
        await stack.enter_async_context(following2(options.vens2, followed2))
        followed = following(
            options.vens, Following(book, clock, telemetry.registry, runner.hasten, works, feeds.both, teller)
        )
        yield Service(app, runner, board, proof.ledger, book, await stack.enter_async_context(followed))


def _opened_teller(stack: contextlib.AsyncExitStack, options: ServiceOptions, world: Telling) -> Teller | None:
    """What sets up reports and notifications; None where no VTN is followed."""
    if not options.vens:
        return None
    teller = Teller(world)
    stack.callback(teller.close)
    return teller


def _redis(endpoints: Endpoints, clock: Clock) -> RedisPublisher | None:
    if endpoints.redis_url is None:
        return None
    return RedisPublisher(
        endpoints.redis_url,
        clock,
        key=endpoints.redis_key,
        password=endpoints.redis_password,
        tls=endpoints.redis_tls,
    )


def _opened_quality(canary: CanarySetup, site: Site, ledger: Journal) -> QualityBook:
    """What canaries told, with the bars of a former process."""
    quality = canary.book(site, ledger)
    told = ledger.records(quality_book.RECORD_KIND, last=_RESTORED_BARS)
    barred = quality.restore(record.payload for record in told)
    if barred:
        log.warning("bars restored", extra={"count": barred})
    return quality


@contextlib.asynccontextmanager
async def _opened_power(specs: PowerSpecs, clock: Clock, works: Works) -> AsyncIterator[PowerSources]:
    """The sources of power with connections of their own: streams stay open, and take no place of what is asked."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        open_power(specs, session, clock, works) as sources,
    ):
        yield sources


def _engine_driver(site: Site, endpoints: Endpoints, options: ServiceOptions, clock: Clock) -> EngineDriver:
    return EngineDriver(endpoints.engines, site, clock, sleep_level=options.sleep_level, model=options.model)


def _drivers(
    engines: EngineDriver, endpoints: Endpoints, *, supervisor: aiohttp.ClientSession
) -> tuple[InstanceDriver, ...]:
    if endpoints.supervisor_url is None:
        return (engines,)
    return engines, SupervisorDriver(supervisor, endpoints.supervisor_url)
