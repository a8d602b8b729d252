"""All the TLS credentials of one process, and the watch over their files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from router.settings import ClientTlsSettings, PoolSettings, RouterFile
from router.transport.addresses import Address, parse_engine, shown
from router.transport.credentials import Credentials

LOOK_S = 1.0
"""Time between two looks at the files."""


@dataclass(frozen=True, slots=True)
class EngineTls:
    """How one engine is verified.

    Attributes:
        server_name: what its certificate must be made out to.
    """

    credentials: Credentials
    server_name: str


class Keyring:
    """All credentials of one process.

    Args:
        settings: the router's sections of the configuration file.
        wall_s: the wall clock.

    Attributes:
        server: of the public port; None where it is plain HTTP.
        table: for the source of the allocation; None where that is plain.

    Raises:
        CertificateError: a file cannot be used.
    """

    def __init__(self, settings: RouterFile, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        tls, table = settings.router.tls, settings.table
        self.server = None if tls is None else Credentials("router.tls", tls, wall_s)
        self.table: Credentials | None = None
        if (table.url or "").startswith("https://") or table.tls is not None:
            self.table = Credentials("table.tls", table.tls or ClientTlsSettings(), wall_s)
        self._clients: dict[ClientTlsSettings, Credentials] = {}
        self._past_renewed = self._past_refused = 0
        self._engines: Mapping[Address, EngineTls | None] = {}
        self.use(settings.pools)

    def use(self, pools: Iterable[PoolSettings]) -> None:
        """Go over to other pools.

        Those with the same files share one context: that of the system's authorities takes a megabyte.

        Raises:
            CertificateError: a file cannot be used; the old pools' credentials stay.
        """
        clients: dict[ClientTlsSettings, Credentials] = {}
        engines: dict[Address, EngineTls | None] = {}
        for pool in pools:
            files = ClientTlsSettings() if pool.tls is None else pool.tls.files()
            if pool.has_tls and files not in clients:
                held = self._clients.get(files)
                clients[files] = held or Credentials(f"pools.{pool.name}.tls", files, self._wall_s)
            for engine in (parse_engine(each.url) for each in pool.instances):
                engines[engine.address] = None
                if not engine.is_tls:
                    continue
                name = engine.host if pool.tls is None or pool.tls.server_name is None else pool.tls.server_name
                engines[engine.address] = EngineTls(clients[files], name)
        for credentials in (held for files, held in self._clients.items() if files not in clients):
            self._past_renewed += credentials.renewed
            self._past_refused += credentials.refused
        self._clients, self._engines = clients, engines

    def of_engine(self, address: Address) -> EngineTls | None:
        """How an engine is verified; None for one that is plain.

        Raises:
            ConnectionError: it is none of the pools', so it is not known whether a request may go out in the clear.
        """
        try:
            return self._engines[address]
        except KeyError as error:
            raise ConnectionError(f"{shown(*address)} is no engine of the pools") from error

    def refresh(self) -> None:
        """Take files that have changed."""
        for credentials in self._all():
            credentials.refresh()

    async def watch(self) -> None:
        """Look at the files again and again until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.refresh()

    def counters(self) -> dict[str, int]:
        """Counts for the metrics; none where there is no TLS."""
        every = self._all()
        if not every:
            return {}
        return {
            "tls_certificates_renewed": self._past_renewed + sum(credentials.renewed for credentials in every),
            "tls_certificates_refused": self._past_refused + sum(credentials.refused for credentials in every),
        }

    def first_expiry_s(self) -> float | None:
        """Wall-clock time at which the first of the router's own certificates expires; None without any."""
        return min((c.until_s for c in self._all() if c.until_s is not None), default=None)

    def _all(self) -> list[Credentials]:
        every = (self.server, self.table, *self._clients.values())
        return [credentials for credentials in every if credentials is not None]
