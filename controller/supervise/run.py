"""The supervisor as a process, until SIGTERM or SIGINT; the engines that run then go on to run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from random import Random

from aiohttp import web

from controller.background import Works
from controller.clock import Clock, SystemClock, boot_name
from controller.errors import ConfigError, ListenError
from controller.http import bearer_token
from controller.service.compose import build_site
from controller.service.engine_keyring import followed_keyring
from controller.settings.file import Settings
from controller.settings.supervisor import SupervisorSettings
from controller.supervise.api import build_app
from controller.supervise.engine import Tools
from controller.supervise.fleet import Fleet
from controller.supervise.gpu_check import GpuCheck
from controller.supervise.policy import Rules
from controller.supervise.records import Records
from controller.supervise.spec import EngineSpec, engine_specs, inherited
from router.contract import PoolId
from router.errors import SettingsError
from router.tenants.engine_keys import read_engine_keys
from router.transport.asking import EngineSession
from router.transport.loopback import is_loopback

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "WATTROUTE_SUPERVISOR_TOKEN"
_SHUTDOWN_S = 2.0


def run(settings: Settings, environment: Mapping[str, str]) -> None:
    """Run the supervisor until SIGTERM or SIGINT.

    Raises:
        ConfigError: the configuration or a file is wrong, another supervisor runs, or the system is not Linux.
        ListenError: the port cannot be had.
    """
    if not sys.platform.startswith("linux"):
        raise ConfigError(f"engines are supervised on Linux only, by its /proc; this is {sys.platform}")
    own = settings.supervisor
    token = load_token(own, environment)
    specs = specs_of(settings, environment)
    records = Records(own.state_dir)
    try:
        asyncio.run(_run(settings, specs, records, token, inherited(environment)))
    finally:
        records.close()


def load_token(own: SupervisorSettings, environment: Mapping[str, str]) -> str | None:
    """The token from the file, else from the environment; None answers this machine alone.

    Raises:
        ConfigError: the file cannot be read, the token protects nothing, or there is none although other machines are
            to reach the supervisor.
    """
    token = bearer_token.load_token(own.token_file, environment, key="supervisor.token_file", variable=TOKEN_VARIABLE)
    if token is None and not is_loopback(own.host):
        raise ConfigError(
            f"supervisor.host {own.host}: other machines may start and stop engines only with a token; write "
            f"supervisor.token_file, set {TOKEN_VARIABLE}, or listen on 127.0.0.1"
        )
    return token


def specs_of(settings: Settings, environment: Mapping[str, str]) -> tuple[EngineSpec, ...]:
    """The engines to run.

    Raises:
        ConfigError: there is none, or a pool's key cannot be read.
    """
    site = build_site(settings)
    try:
        keys = read_engine_keys(settings.pools, environment)
    except SettingsError as error:
        raise ConfigError(str(error)) from error
    shown = {
        name: keys.headers(name).get("authorization", "") for name in (PoolId(pool.name) for pool in settings.pools)
    }
    specs = engine_specs(
        settings, site, {name: value.removeprefix("Bearer ") for name, value in shown.items() if value}
    )
    if not specs:
        raise ConfigError(
            "no pool says how its engines are started; write plan.pools.NAME.serve, see docs/how-to/gpu-host.md"
        )
    return specs


async def _run(
    settings: Settings, specs: tuple[EngineSpec, ...], records: Records, token: str | None, environment: dict[str, str]
) -> None:
    own, clock = settings.supervisor, SystemClock()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with _client(settings, clock) as client:
        tools = Tools(
            rules=_rules(own),
            clock=clock,
            chance=Random(),
            records=records,
            boot=boot_name(),
            environment=environment,
            client=client,
            refuse_absent_gpus=GpuCheck().refuse_absent,
        )
        fleet = Fleet(specs, tools, own.state_dir, log_bytes=int(own.log_mb * (1 << 20)), older_logs=own.log_files)
        async with _served(build_app(fleet, clock, token), own), fleet.watched():
            await ended.wait()
        left = [engine.spec.instance_id for engine in fleet.engines if engine.holds]
        log.info("supervisor stopped; its engines go on", extra={"running": left})


@contextlib.asynccontextmanager
async def _served(app: web.Application, own: SupervisorSettings) -> AsyncIterator[None]:
    """The API, until the end.

    Raises:
        ListenError: the port cannot be had; no engine was touched.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, own.host, own.port).start()
        except (OSError, OverflowError) as error:
            raise ListenError(own.host, own.port, getattr(error, "strerror", None) or str(error)) from error
        log.info("supervisor listening", extra={"host": own.host, "port": runner.addresses[0][1]})
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _client(settings: Settings, clock: Clock) -> AsyncIterator[EngineSession]:
    async with followed_keyring(settings, clock, Works(Random())) as keyring, EngineSession(keyring) as client:
        yield client


def _rules(own: SupervisorSettings) -> Rules:
    return Rules(
        ready_s=own.ready_s,
        stop_s=own.stop_s,
        first_s=own.restart_first_s,
        longest_s=own.restart_longest_s,
        most_crashes=own.most_crashes,
        window_s=own.crash_window_s,
        hung_s=own.hung_s,
    )
