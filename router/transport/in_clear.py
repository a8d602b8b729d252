"""What goes unencrypted to other machines: secrets are refused, what else matters is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from router.errors import SettingsError
from router.settings import PoolSettings, RouterFile, TableSettings
from router.transport.loopback import is_private, refuse_readable
from router.transport.redis_address import is_private_redis, refuse_readable_password

OTLP_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
"""Where OpenTelemetry's exporter takes further header fields from."""


def refuse_in_clear(settings: RouterFile, environment: Mapping[str, str]) -> None:
    """Refuse to send the environment's secrets to another machine unencrypted; those of the file are refused with it.

    Raises:
        SettingsError: naming the setting, the variable and the remedy.
    """
    tracing = settings.router.tracing
    try:
        if settings.table.redis_url is not None:
            refuse_readable_password(settings.table.redis_url, environment.get("REDIS_PASSWORD"))
        for name in OTLP_HEADERS:
            if tracing is not None and environment.get(name):
                refuse_readable([tracing.endpoint], f"router.tracing.endpoint: {name}")
    except ValueError as error:
        raise SettingsError(str(error)) from error


def told_in_clear(settings: RouterFile) -> tuple[str, ...]:
    """Settings by which the table, or an engine's key, goes unencrypted between machines; an operator should know."""
    keyed = [pool for pool in settings.pools if pool.engine_key_file or pool.engine_key_env]
    table = _table_in_clear(settings.table)
    return (*((table,) if table else ()), *(_where(pool) for pool in keyed if _is_open(pool)))


def _where(pool: PoolSettings) -> str:
    return f"pools.{pool.name}.{'instances' if pool.discovery is None else 'discovery'}"


def _is_open(pool: PoolSettings) -> bool:
    if pool.discovery is not None:
        return pool.discovery.scheme != "https"
    return not all(each.url.startswith("unix:") or is_private(each.url) for each in pool.instances)


def _table_in_clear(table: TableSettings) -> str | None:
    if table.redis_url is not None and not is_private_redis(table.redis_url):
        return "table.redis_url"
    if table.url is not None and not is_private(table.url):
        return "table.url"
    return None
