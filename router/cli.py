"""`wattroute-router`: the router's command line."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from router import admin, clock, config_file, drain_command, logs
from router import app as router_app
from router.contract import Precision
from router.errors import RouterError, SettingsError
from router.reload import ConfigSource
from router.settings import CONTROLLER_SECTIONS, RouterFile
from router.tenants import hash_key
from router.tenants.engine_keys import read_engine_keys
from router.tenants.source import read_tenants
from router.transport.in_clear import refuse_in_clear
from router.transport.keyring import Keyring
from router.version import VERSION

log = logging.getLogger(__name__)

cli = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@cli.command()
def router(  # noqa: PLR0913  typer makes an option of each parameter
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file.")] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option("--pool", help="NAME=URL or NAME:PRECISION=URL; repeat it for more pools and instances."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address of the public port.")] = None,
    port: Annotated[int | None, typer.Option(help="The public port.", min=0, max=65535)] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of metrics and state.", min=0, max=65535)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the public port.", min=1, max=256)] = None,
    table_url: Annotated[str | None, typer.Option(help="Where the controller gives its allocation.")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Redis that holds the allocation.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    check: Annotated[bool, typer.Option("--check", help="Check the configuration and exit.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Route OpenAI-compatible requests to pools of engines. Options given here override the configuration file.

    'wattroute-router hash-key' prints the digest of an API key, for the file of tenants. 'wattroute-router drain
    --config FILE' takes the router that runs by FILE on this machine out of service and waits until it has drained.
    """
    if version:
        typer.echo(f"wattroute-router {VERSION}")
        return
    logs.to_stderr(_level(log_level))
    changes = {"host": host, "port": port, "admin_port": admin_port, "workers": workers}

    def load() -> RouterFile:
        return settings_from(config, pool or [], router=_given(changes), table=_table(table_url, redis_url))

    settings = load()
    if check or settings.router.workers > 1:
        # Each worker reads them for itself; here a fault is told once and before anything listens.
        read_tenants(settings)
        read_engine_keys(settings.pools, os.environ)
    if check:
        refuse_in_clear(settings, os.environ)
        Keyring(settings, clock.wall_s)
        if settings.router.admin_token_file is not None:
            admin.read_token(settings.router.admin_token_file)
        typer.echo(f"{config or 'command line'}: ok")
        return
    router_app.run(settings, ConfigSource(config, load))


def settings_from(
    config: Path | None, pools: list[str], *, router: dict[str, Any], table: dict[str, Any] | None
) -> RouterFile:
    """Settings of the file, if there is one, overridden by the command line.

    Args:
        config: the configuration file.
        pools: ``NAME=URL`` or ``NAME:PRECISION=URL``; if any is given, they take the place of the file's pools.
        router: fields of the section `router`.
        table: the section `table` as a whole, or None to leave the file's.

    Raises:
        SettingsError: something is wrong or missing.
    """
    data: dict[str, Any] = {}
    if config is not None:
        data = config_file.load(config, RouterFile, ignore=CONTROLLER_SECTIONS).model_dump(exclude_unset=True)
    if pools:
        data["pools"] = _pools(pools)
    if not data.get("pools"):
        raise SettingsError("no pool is given; write --pool NAME=URL or --config FILE")
    data["router"] = {**data.get("router", {}), **router}
    if table is not None:
        data["table"] = {**_without_source(data.get("table", {})), **table}
    try:
        return RouterFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise SettingsError(f"command line: {where}: {first['msg'].removeprefix('Value error, ')}") from error


def _pools(texts: list[str]) -> list[dict[str, Any]]:
    """Pools in the order of their first mention; a repeated name adds an instance."""
    pools: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, url = text.partition("=")
        if not equals or not name or not url:
            raise SettingsError(
                f"--pool {text!r}: write NAME=URL or NAME:PRECISION=URL, e.g. bf16=http://127.0.0.1:9001"
            )
        name, _, written = name.partition(":")
        precision = written or (name if name in {*Precision} else Precision.BF16.value)
        known = pools.get(name)
        if known is None:
            if not written and name not in {*Precision}:
                log.warning("pool counts as bf16", extra={"pool": name, "remedy": f"--pool {name}:PRECISION={url}"})
            pools[name] = {"name": name, "precision": precision, "instances": [url]}
        elif written and written != known["precision"]:
            raise SettingsError(f"--pool {text!r}: pool {name!r} is {known['precision']} already; use another name")
        else:
            known["instances"].append(url)
    return list(pools.values())


def _table(url: str | None, redis_url: str | None) -> dict[str, Any] | None:
    return _given({"url": url, "redis_url": redis_url}) or None


def _without_source(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in ("url", "redis_url")}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _level(name: str) -> int:
    number = logging.getLevelNamesMapping().get(name.upper())
    if number is None:
        raise SettingsError(f"--log-level {name!r} is not one of debug, info, warning, error")
    return number


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `wattroute-router`."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words[:1] == [hash_key.COMMAND]:
            hash_key.run(words[1:])
        elif words[:1] == [drain_command.COMMAND]:
            drain_command.run(words[1:])
        else:
            cli(words, prog_name="wattroute-router")
    except RouterError as error:
        typer.echo(f"wattroute-router: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
