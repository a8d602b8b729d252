"""What a router asks of others all the time: probes of its engines, and the allocation table."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import aiohttp

from router.contract import InstanceId
from router.exchange import InstanceSpec
from router.keep_up import Begin, kept_up
from router.load_source import LoadReporter, fresh_s, http_loads, loads_url, read_every_s
from router.poller import Poller
from router.probes import Prober, ProbeSink
from router.rate_source import RateSink, http_rates, rates_url
from router.settings import RouterFile
from router.snapshot import LoadsView, RedisView
from router.table_source import HttpTableSource, TableSink
from router.tenants.engine_keys import EngineKeys
from router.transport.asking import EngineSession
from router.transport.keyring import Keyring
from router.transport.redis_place import redis_place


class SourceSink(ProbeSink, TableSink, RateSink, Protocol):
    """What takes what is heard: the dispatcher, or `router.worker_news.News` for those of several workers."""


class Sources:
    """Asks until stopped.

    Args:
        settings: the router's sections of the configuration file.
        instances: whom to probe.
        sink: takes what is heard.
        keyring: says how those behind TLS are verified.
        keys: what the engines of each pool want to be shown.
        steady_s: the clock that the sink goes by.
        hear_routers: takes how many routers there are, as the controller tells it over HTTP; those that follow Redis
            hear of each other there.
    """

    def __init__(
        self,
        settings: RouterFile,
        instances: Sequence[InstanceSpec],
        sink: SourceSink,
        keyring: Keyring,
        keys: EngineKeys,
        steady_s: Callable[[], float],
        hear_routers: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._hear_routers = hear_routers
        self._sink = sink
        self._keyring = keyring
        self._steady_s = steady_s
        self._engines = EngineSession(keyring)
        self._prober = Prober(
            self._engines,
            instances,
            settings.router.health,
            sink=sink,
            steady_s=self._steady_s,
            rng=random.Random(),
            keys=keys,
            fresh_s=fresh_s(settings.table.poll_interval_s),
        )
        self._loads_refused: Callable[[], int] | None = None
        self._rights_missing: Callable[[], dict[str, str]] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask."""
        for name, begin in self._runs().items():
            self._tasks.append(kept_up(name, begin))

    def follow(self, instances: Sequence[InstanceSpec]) -> None:
        """Probe these from now on; all else goes on."""
        self._prober.follow(instances)

    def doubt(self, instances: Collection[InstanceId]) -> None:
        """Requests to these have failed: probe them soon."""
        self._prober.doubt(instances)

    def loads_view(self) -> LoadsView | None:
        """Whose looks at the engines count; None where no table is followed, or nothing is asked."""
        if self._loads_refused is None:
            return None
        view = self._prober.loads_view()
        view.refused = self._loads_refused()
        return view

    def redis_view(self) -> RedisView | None:
        """What Redis refuses; None where it is not followed."""
        return None if self._rights_missing is None else RedisView(self._rights_missing())

    async def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._engines.close()
        if self._session is not None:
            await self._session.close()

    def _runs(self) -> dict[str, Begin]:
        runs = {
            "probes": self._prober.run,
            "table": self._table(),
            "rates": self._rates(),
            "loads": self._loads(),
        }
        return {name: begin for name, begin in runs.items() if begin is not None}

    def _rates(self) -> Begin | None:
        """Of the controller that serves the table; those of Redis come with the table."""
        table = self._settings.table
        url = None if table.url is None else rates_url(table.url)
        if url is None or self._session is None or not self._settings.router.tell_energy:
            return None
        return http_rates(self._poller(self._session, url), self._sink, self._steady_s).run

    def _loads(self) -> Begin | None:
        """Of the controller that serves the table; those of Redis come with the table."""
        table = self._settings.table
        url = None if table.url is None else loads_url(table.url)
        if url is None or self._session is None:
            return None
        poller = self._poller(self._session, url, every_s=read_every_s(table.poll_interval_s))
        reporter = LoadReporter(poller.url, self._prober, self._hear_routers)
        self._loads_refused = lambda: reporter.refused
        return http_loads(poller, reporter).run

    def _table(self) -> Begin | None:
        table = self._settings.table
        if table.url is not None:
            self._session = aiohttp.ClientSession()
            poller = self._poller(self._session, table.url, held=True)
            return HttpTableSource(poller, sink=self._sink, steady_s=self._steady_s, max_ttl_s=table.max_ttl_s).run
        if table.redis_url is not None:
            # The client for Redis takes 6 MB and a tenth of the time a start takes; most routers need none.
            from router.table_redis import RedisTableSource

            source = RedisTableSource(
                redis_place(table, os.environ),
                table,
                sink=self._sink,
                steady_s=self._steady_s,
                rng=random.Random(),
                rates=self._sink if self._settings.router.tell_energy else None,
                loads=self._prober,
            )
            self._loads_refused = lambda: source.loads_refused
            self._rights_missing = lambda: dict(source.rights.missing)
            return source.run
        return None

    def _poller(
        self, session: aiohttp.ClientSession, url: str, *, held: bool = False, every_s: float | None = None
    ) -> Poller:
        interval_s = self._settings.table.poll_interval_s if every_s is None else every_s
        credentials = self._keyring.table
        return Poller(session, url, interval_s, rng=random.Random(), credentials=credentials, held=held)
