"""`wattroute router`, `controller`, `emulate`, `supervise`, `agent`, `validate`: what serves, and is its file right."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from controller.agent.options import AgentOptions
from controller.clock import SystemClock
from controller.commands.cli_parts import PASS_THROUGH, Config, LogLevel, load, log_to_stderr
from controller.errors import ConfigError

service_app = typer.Typer(rich_markup_mode=None)


@service_app.command(context_settings=PASS_THROUGH)
def router(context: typer.Context) -> None:
    """Run the router; the same as wattroute-router, with its options."""
    os.execv(sys.executable, [sys.executable, "-m", "router.cli", *context.args])


@service_app.command()
def controller(config: Config, log_level: LogLevel = "info") -> None:
    """Run the controller with its API and dashboard."""
    log_to_stderr(log_level)
    load("controller.service.processes").controller(load("controller.settings.file").load(config))


@service_app.command()
def emulate(config: Config, log_level: LogLevel = "info") -> None:
    """Run emulated engines and GPUs at the addresses of the configured instances."""
    log_to_stderr(log_level)
    load("controller.service.processes").emulator(load("controller.settings.file").load(config))


@service_app.command()
def supervise(config: Config, log_level: LogLevel = "info") -> None:
    """Run the engines of this machine: start, watch, end and start them again."""
    log_to_stderr(log_level)
    load("controller.supervise.run").run(load("controller.settings.file").load(config), os.environ)


@service_app.command()
def agent(
    host: Annotated[str, typer.Option(help="Address to listen on; other than this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 9410,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that readers send; or WATTROUTE_AGENT_TOKEN.")
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds from one reading to the next.", min=0.2, max=1.0)] = 0.2,
    tls_dir: Annotated[Path | None, typer.Option(help="Folder with tls.crt and tls.key: serve HTTPS.")] = None,
    dcgm_names: Annotated[
        bool, typer.Option("--dcgm-names", help="Serve dcgm-exporter's metric names too, where none runs.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read for three seconds, show every GPU, and end; 1 if one is not read.")
    ] = False,
    log_level: LogLevel = "info",
) -> None:
    """Read this machine's GPU power by NVML and serve it to a controller elsewhere."""
    log_to_stderr(log_level)
    if check:
        looking = load("controller.agent.check")
        snapshot = asyncio.run(looking.look(SystemClock(), interval))
        typer.echo(looking.told(snapshot))
        raise typer.Exit(0 if looking.is_well(snapshot) else 1)
    options = AgentOptions(
        host=host,
        port=port,
        token_file=token_file,
        interval_s=interval,
        tls_dir=tls_dir,
        dcgm_names=dcgm_names,
    )
    load("controller.agent.run").run(options, os.environ)


@service_app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="Configuration file.", show_default=False)] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The same, as an option.")] = None,
) -> None:
    """Check a configuration file and say what is wrong with it."""
    path = file or config
    if path is None:
        raise ConfigError("which file? write: wattroute validate FILE")
    settings = load("controller.settings.file").load(path)
    if settings.plan.pools:
        load("controller.service.compose").build_site(settings)
    typer.echo(f"{path}: ok: {len(settings.pools)} pools, {len(settings.classes)} classes")
