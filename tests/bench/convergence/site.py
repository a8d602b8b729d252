"""Routers, their controller and their clients as processes of their own, and the tables that are obeyed there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import yaml

from tests.bench.convergence.packets import SPARED
from tests.fakes.ports import free_ports
from tests.fakes.system import System, running

LOOK_S = 0.01
ASK_S = 0.25
"""Time between a client's requests."""
TICK_S, TABLE_TTL_S = 5.0, 8.0
"""The pace of a controller that is told no other; a table that each tick renews, and that expires soon."""
GIVE_UP_S = 120.0
FAULTS = (aiohttp.ClientError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Site:
    """Running processes.

    Attributes:
        system: the emulator and the controller.
        answers: how often clients got 200, another status with its code, or a fault.
    """

    system: System
    routers: tuple[System, ...]
    session: aiohttp.ClientSession
    answers: Counter[int | str] = field(default_factory=Counter)

    async def told(self, url: str) -> Mapping[str, Any]:
        """A document; nothing where there is none."""
        with contextlib.suppress(*FAULTS):
            async with self.session.get(url) as answer:
                if answer.status == 200:
                    found: Mapping[str, Any] = await answer.json()
                    return found
        return {}

    async def issued(self) -> int:
        """Sequence of the table that the controller publishes, -1 where there is none."""
        return int((await self.told(f"{self.system.api}/v1/allocation")).get("sequence", -1))

    async def obeyed(self) -> list[int]:
        """Sequence of the table that each router obeys freshly, -1 where it does not."""
        return [int(each["sequence"]) if each["state"] == "fresh" else -1 for each in await self._tables()]

    async def expired(self) -> bool:
        """Whether no router has a table."""
        return all(each["state"] == "static" for each in await self._tables())

    async def settled(self) -> bool:
        """Whether all obey the table that is published."""
        return set(await self.obeyed()) == {await self.issued()} != {-1}

    async def answer(self, router: System) -> int | str:
        """What one request gets: 200, another status with its code, or a fault."""
        body = {"model": self.system.document["model"], "messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
        try:
            async with self.session.post(f"{router.public}/v1/chat/completions", json=body) as answer:
                told = await answer.read()
                return 200 if answer.status == 200 else f"{answer.status} {_code(told)}"
        except FAULTS as error:
            return type(error).__name__

    async def ask(self, router: System) -> None:
        """A client without end."""
        while True:
            self.answers[await self.answer(router)] += 1
            await asyncio.sleep(ASK_S)

    async def _tables(self) -> list[Mapping[str, Any]]:
        found = await asyncio.gather(*(self.told(f"{router.admin}/state") for router in self.routers))
        return [each.get("table", {"state": "unknown"}) for each in found]


def _code(told: bytes) -> str:
    """Of an error."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(told)["error"]["code"])
    return "without a code"


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> float:
    """When something came true, by the monotonic clock.

    Raises:
        RuntimeError: it did not for long.
    """
    try:
        async with asyncio.timeout(GIVE_UP_S):
            while not await holds():
                await asyncio.sleep(LOOK_S)
    except TimeoutError as error:
        raise RuntimeError(f"not within {GIVE_UP_S:g} s: {what}") from error
    return monotonic()


@contextlib.asynccontextmanager
async def running_site(
    folder: Path, routers: int, table: dict[str, Any] | None, adapt: Callable[[dict[str, Any]], None] | None = None
) -> AsyncIterator[Site]:
    """A site with a client at each router.

    Args:
        folder: of files and logs.
        routers: how many.
        table: where their tables come from; None for the controller itself.
        adapt: changes the configuration of all of them at last.
    """
    async with contextlib.AsyncExitStack() as stack:
        fleet = _fleet(folder, routers, table, adapt)
        system, others = await asyncio.to_thread(fleet.__enter__)
        stack.push_async_callback(asyncio.to_thread, fleet.__exit__, None, None, None)
        timeout = aiohttp.ClientTimeout(total=20)
        connector = aiohttp.TCPConnector(local_addr=(SPARED, 0))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        site = Site(system, others, session)
        clients = [asyncio.create_task(site.ask(router)) for router in others]
        try:
            yield site
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)


@contextlib.contextmanager
def _fleet(
    folder: Path, routers: int, table: dict[str, Any] | None, adapt: Callable[[dict[str, Any]], None] | None
) -> Iterator[tuple[System, tuple[System, ...]]]:
    """The emulator with the controller, and the routers."""
    ports = [free_ports(2) for _ in range(routers)]

    def change(document: dict[str, Any]) -> None:
        document["controller"] |= {"mode": "act", "tick_s": TICK_S, "table_ttl_s": TABLE_TTL_S}
        document["table"] = table or document["table"]
        document["signals"]["router_urls"] = [f"http://127.0.0.1:{admin}" for _, admin in ports]
        if adapt is not None:
            adapt(document)

    with running(folder, "emulate", change=change) as system, contextlib.ExitStack() as stack:
        others = tuple(
            stack.enter_context(_router(folder / f"router-{number}", system.document, *pair))
            for number, pair in enumerate(ports)
        )
        system.start("controller")
        yield system, others


@contextlib.contextmanager
def _router(folder: Path, document: dict[str, Any], port: int, admin_port: int) -> Iterator[System]:
    folder.mkdir()
    own = {**document, "router": {**document["router"], "port": port, "admin_port": admin_port}}
    (folder / "wattroute.yaml").write_text(yaml.safe_dump(own))
    system = System(folder, own)
    try:
        system.start("router")
        yield system
    finally:
        for name in tuple(system.processes):
            system.kill(name)
