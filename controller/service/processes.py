"""The processes of the control plane, run from settings until a signal ends them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from random import Random

import uvloop

from controller.background import Works
from controller.clock import Clock, SystemClock
from controller.dashboard.access import load_token
from controller.errors import ConfigError
from controller.http.secret_file import find_secret
from controller.lifecycle.joules import JoulePolicy
from controller.loop.runner import RunnerOptions
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.service.app import assemble
from controller.service.candidacy import election_of
from controller.service.compose import (
    build_canary,
    build_emulated,
    build_followed,
    build_gpu_limits,
    build_policy,
    build_site,
    build_workloads,
)
from controller.service.engine_headers import EngineHeaders
from controller.service.engine_keyring import followed_keyring
from controller.service.feed_setup import open_feeds
from controller.service.options import Endpoints, ServiceOptions
from controller.service.proof import ProofOptions
from controller.service.rosters import opened_rosters
from controller.service.serving import serve
from controller.settings.file import Settings
from controller.settings.process import ControllerSettings
from controller.settings.programmes import programmes_of
from controller.signals.canary_setup import CanarySetup
from controller.signals.power.specs import ZeusdSpec
from controller.signals.present import RosterSource
from controller.simulation.emulator import run_emulator
from controller.store.meter_file import Retention
from controller.store.witness import read_key
from router.contract import PoolId
from router.transport.asking import EngineSession
from router.transport.redis_address import is_private_redis, refuse_readable_password
from router.transport.redis_place import redis_place

log = logging.getLogger(__name__)


def controller(settings: Settings) -> None:
    """Run the controller until SIGTERM or SIGINT.

    Raises:
        ConfigError: the configuration or a data file is wrong.
        ListenError: the port is taken.
        StoreError: the ledger cannot be opened.
    """
    asyncio.run(_controller(settings))


def emulator(settings: Settings) -> None:
    """Run emulated engines at the addresses of the configured instances until SIGTERM or SIGINT.

    Raises:
        ConfigError: the configuration is wrong.
        ListenError: a port is taken.
    """
    uvloop.run(_emulator(settings))


async def _controller(settings: Settings) -> None:
    _refuse_readable_redis(settings.table.redis_url)
    site = build_site(settings)
    _tell_unnamed_gpus(settings)
    engine_headers = EngineHeaders(settings.pools, os.environ)
    clock, works = SystemClock(), Works(Random())
    signals, own = settings.signals, settings.controller
    started_at_s, lookahead_s = clock.wall_s(), settings.plan.steps * settings.plan.step_s
    async with (
        engines_of(settings, clock, works) as engines,
        open_feeds(signals, clock, started_at_s, own.data_dir, works, lookahead_s=lookahead_s) as feeds,
        assemble(
            site,
            build_policy(settings),
            CvxpyPlanner(clock.monotonic_s, SolverOptions(solver=settings.plan.solver)),
            endpoints=Endpoints(
                engines=engines.session,
                rosters=engines.rosters,
                workloads=build_workloads(settings),
                followed=build_followed(settings, site),
                power=signals.power_specs(),
                router_urls=signals.router_urls,
                supervisor_url=own.supervisor_url,
                zeusd=tuple(
                    ZeusdSpec(daemon.url, daemon.gpu_uuids, daemon.http(signals.timeout_s)) for daemon in own.zeusd
                ),
                supervisor_headers=_supervisor_headers(own),
                redis=None if settings.table.redis_url is None else redis_place(settings.table, os.environ),
                redis_key=settings.table.redis_key,
                engine_headers=engine_headers,
            ),
            feeds=feeds,
            options=ServiceOptions(
                data_dir=own.data_dir,
                token=load_token(own.token_file, dict(os.environ)),
                model=settings.model,
                sleep_level=own.sleep_level,
                timeout_s=signals.timeout_s,
                keep_records=own.keep_records,
                on_exit=own.on_exit,
                exit_wait_s=own.exit_wait_s,
                canary=_canary(settings, engine_headers),
                joules=JoulePolicy(settings.energy.idle, settings.energy.settle_s, signals.stale_s),
                programmes=programmes_of(settings.programmes, settings.plan.baseline_window_s),
                retention=Retention(own.keep_meter_seconds_days, own.keep_meter_minutes_days),
                gpu_limits=build_gpu_limits(settings, site),
                shed_planner=CvxpyPlanner(clock.monotonic_s, SolverOptions(solver=settings.plan.solver)),
                load_target_programme=settings.load_target.programme,
                vens=tuple(vtn.spec() for vtn in settings.openadr),
                proof=proof_options(settings),
                vens2=tuple(vtn.spec() for vtn in settings.openadr2),
                clock=settings.clock.watch(),
                pace=RunnerOptions(tick_s=own.tick_s),
                election=election_of(own, dict(os.environ), socket.gethostname(), uuid.uuid4().hex[:8]),
            ),
            works=works,
            clock=clock,
        ) as service,
    ):
        await serve(service, own.host, own.port)


def _refuse_readable_redis(url: str | None) -> None:
    """Refuse to send REDIS_PASSWORD where others could read it; that tables go through Redis unencrypted is told.

    Raises:
        ConfigError: the password would go to another machine unencrypted.
    """
    if url is None:
        return
    try:
        refuse_readable_password(url, os.environ.get("REDIS_PASSWORD"))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not is_private_redis(url):
        log.warning(
            "unencrypted to another machine: whoever is on the way may read and change it",
            extra={"setting": "table.redis_url", "remedy": "write rediss://, or keep that network to yourself"},
        )


def _tell_unnamed_gpus(settings: Settings) -> None:
    """Tell of pools whose instances are listed and their GPUs are not, of which only an emulator shows the power."""
    pools = [
        pool.name for pool in settings.pools if pool.instances and settings.plan.pools[pool.name].gpu_uuids is None
    ]
    if pools and settings.signals.power_specs().gpus:
        log.warning(
            "gpus are not named: they are looked for by the names that wattroute emulate gives them",
            extra={"pools": pools, "remedy": "write plan.pools.NAME.gpu_uuids, as nvidia-smi -L prints them"},
        )


def _supervisor_headers(own: ControllerSettings) -> dict[str, str]:
    """What the supervisor is shown.

    Raises:
        ConfigError: the file of its token cannot be used.
    """
    token = find_secret(own.supervisor_token_file, None, os.environ, "controller.supervisor_token_file")
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def proof_options(settings: Settings) -> ProofOptions:
    """How evidence is kept, and its heads.

    Raises:
        ConfigError: the key cannot be read or is too short.
    """
    own = settings.controller
    return ProofOptions(
        keep_days=own.keep_evidence_days,
        keep_bytes=own.keep_evidence_mb << 20,
        key=read_key(own.ledger_key_file),
        witness_file=own.witness_file,
        configuration=hashlib.sha256(settings.model_dump_json().encode()).hexdigest(),
    )


def _canary(settings: Settings, headers: Mapping[PoolId, Mapping[str, str]]) -> CanarySetup:
    """How canaries are sent to engines, and with which token routers are asked for samples.

    Raises:
        ConfigError: the file that holds the token cannot be used.
    """
    canary = settings.quality.canary
    if canary.per_s <= 0:
        return build_canary(settings, {}, None)
    token = find_secret(canary.router_token_file, None, os.environ, "quality.canary.router_token_file")
    return build_canary(settings, headers, token)


@dataclass(frozen=True, slots=True)
class Engines:
    """How engines are reached, and what finds those that are not listed; None where all are."""

    session: EngineSession
    rosters: RosterSource | None


@contextlib.asynccontextmanager
async def engines_of(settings: Settings, clock: Clock, works: Works) -> AsyncIterator[Engines]:
    """A client for the engines of the pools, which follows the files of their TLS, and what finds them.

    Raises:
        ConfigError: a file of TLS cannot be used, or it is not known where to look for instances.
    """
    async with (
        followed_keyring(settings, clock, works) as keyring,
        EngineSession(keyring) as session,
        opened_rosters(settings, keyring, clock, works) as rosters,
    ):
        yield Engines(session, rosters)


async def _emulator(settings: Settings) -> None:
    site = build_site(settings)
    instances, spare = build_emulated(settings, site)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    running = await run_emulator(
        instances,
        control_host=settings.emulator.control_host,
        control_port=settings.emulator.control_port,
        model=settings.model or "emulated",
        seed=settings.emulator.seed,
        spare=spare,
    )
    log.warning("emulating engines and GPUs", extra={"instances": len(instances), "control_port": running.control_port})
    await ended.wait()
    await running.close()
