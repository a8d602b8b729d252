"""What engines want to be shown, read anew each time: a key that is replaced is followed without a restart."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from controller.errors import ConfigError
from router.contract import PoolId
from router.errors import SettingsError
from router.settings import PoolSettings
from router.tenants.engine_keys import read_engine_keys

log = logging.getLogger(__name__)


class EngineHeaders(Mapping[PoolId, Mapping[str, str]]):
    """Header fields by pool, empty for one without a key; a key that cannot be read any more stays as it was.

    Args:
        pools: with their keys' places.
        environment: of the process.

    Raises:
        ConfigError: a key cannot be read.
    """

    def __init__(self, pools: Sequence[PoolSettings], environment: Mapping[str, str]) -> None:
        self._pools = {PoolId(pool.name): pool for pool in pools}
        self._environment = environment
        try:
            self._last = {name: self._read(name) for name in self._pools}
        except SettingsError as error:
            raise ConfigError(str(error)) from error

    def __getitem__(self, pool_id: PoolId) -> Mapping[str, str]:
        try:
            self._last[pool_id] = self._read(pool_id)
        except SettingsError as error:
            log.warning("key of engines not read; the last one is shown", extra={"reason": str(error)})
        return self._last[pool_id]

    def __iter__(self) -> Iterator[PoolId]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)

    def _read(self, pool_id: PoolId) -> Mapping[str, str]:
        return read_engine_keys([self._pools[pool_id]], self._environment).headers(pool_id)
