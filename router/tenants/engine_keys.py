"""The keys that engines ask of the router: read from files or the environment, sent in place of the clients' own.

A key is in no settings, log, error or answer of the admin port; `EngineKeys` does not show what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from router.contract import PoolId
from router.errors import SettingsError
from router.settings import PoolSettings

_KEY = re.compile(r"[!-~]{1,4096}")
"""What may follow ``Bearer`` on one line: visible ASCII without spaces."""


class EngineKeys:
    """The key of each pool that has one."""

    def __init__(self, keys: Mapping[PoolId, str]) -> None:
        self._values = {pool_id: f"Bearer {key}" for pool_id, key in keys.items()}
        self._lines = {pool_id: f"authorization: {value}\r\n".encode() for pool_id, value in self._values.items()}

    def __repr__(self) -> str:
        return f"EngineKeys(pools={sorted(self._values)})"

    def __bool__(self) -> bool:
        """Whether any pool has one."""
        return bool(self._values)

    def line(self, pool_id: PoolId) -> bytes:
        """Field line for requests to a pool's engines, ended by CRLF; empty without a key."""
        return self._lines.get(pool_id, b"")

    def headers(self, pool_id: PoolId) -> dict[str, str]:
        """The same for an HTTP client."""
        value = self._values.get(pool_id)
        return {} if value is None else {"authorization": value}


NO_KEYS = EngineKeys({})


def read_engine_keys(pools: Sequence[PoolSettings], environment: Mapping[str, str]) -> EngineKeys:
    """Read the keys of all pools that name a file or a variable.

    Raises:
        SettingsError: a file or variable is absent, or holds no key; its content is not shown.
    """
    keys: dict[PoolId, str] = {}
    for pool in pools:
        if pool.engine_key_file is not None:
            where = f"pools: {pool.name!r}: engine_key_file {pool.engine_key_file}"
            try:
                text = pool.engine_key_file.read_text("utf-8")
            except OSError as error:
                raise SettingsError(f"{where}: cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise SettingsError(f"{where}: not text; it holds one key and nothing else") from error
        elif pool.engine_key_env is not None:
            where = f"pools: {pool.name!r}: engine_key_env {pool.engine_key_env}"
            if pool.engine_key_env not in environment:
                raise SettingsError(f"{where}: is not set; set it in the environment of router and controller")
            text = environment[pool.engine_key_env]
        else:
            continue
        key = text.strip()
        if not _KEY.fullmatch(key):
            raise SettingsError(f"{where}: holds no key; one line of visible ASCII without spaces is expected")
        keys[PoolId(pool.name)] = key
    return EngineKeys(keys)
