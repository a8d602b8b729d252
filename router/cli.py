"""`wattroute-router`: the router's command line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from router import app as router_app
from router import config_file, logs
from router.contract import Precision
from router.errors import RouterError, SettingsError
from router.settings import CONTROLLER_SECTIONS, RouterFile
from router.version import VERSION

log = logging.getLogger(__name__)

_ABOUT = "Route OpenAI-compatible requests to pools of engines. Options given here override the configuration file."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("wattroute-router", description=_ABOUT, allow_abbrev=False)
    add = parser.add_argument
    add("--config", metavar="FILE", type=Path, help="configuration file")
    add(
        "--pool",
        action="append",
        default=[],
        metavar="NAME[:PRECISION]=URL",
        help="a pool and its instance; repeat it for more pools and instances",
    )
    add("--host", metavar="ADDRESS", help="address of the public port")
    add("--port", metavar="N", type=_whole(0, 65535), help="the public port; 0 takes a free one")
    add("--admin-port", metavar="N", type=_whole(0, 65535), help="port of metrics and state; never expose it")
    add("--workers", metavar="N", type=_whole(1, 256), help="processes that share the public port")
    add("--table-url", metavar="URL", help="where the controller gives its allocation")
    add("--redis-url", metavar="URL", help="Redis that holds the allocation")
    add("--log-level", metavar="LEVEL", default="info", help="debug, info, warning or error (default: info)")
    add("--check", action="store_true", help="check the configuration and exit")
    add("--version", action="version", version=f"%(prog)s {VERSION}")
    return parser


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def router(options: argparse.Namespace) -> None:
    """Serve, or only check the configuration.

    Raises:
        RouterError: the settings are wrong or an address cannot be listened on.
    """
    logs.to_stderr(_level(options.log_level))
    changes = {name: getattr(options, name) for name in ("host", "port", "admin_port", "workers")}
    settings = settings_from(
        options.config, options.pool, router=_given(changes), table=_table(options.table_url, options.redis_url)
    )
    if options.check:
        sys.stdout.write(f"{options.config or 'command line'}: ok\n")
        return
    router_app.run(settings)


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `wattroute-router`; exits with 2 where the command line or the configuration is wrong."""
    try:
        router(_parser().parse_args(arguments))
    except RouterError as error:
        sys.stderr.write(f"wattroute-router: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
