"""A worker and its engine, reached by TLS, by Unix sockets or by IPv6, on both sides."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router.settings import RouterFile
from router.worker import Worker
from tests.fakes.certificates import Authority
from tests.fakes.fake_engine import FakeEngine, Script, behave
from tests.fakes.network import NO_IPV6, has_ipv6
from tests.fakes.running import QUICK, RawClient

WAYS = [
    "tls",
    "unix",
    pytest.param("ipv6", marks=pytest.mark.skipif(not has_ipv6(), reason=NO_IPV6)),
]


@dataclass
class Served:
    """A worker in front of one engine."""

    worker: Worker
    engine: FakeEngine
    authority: Authority
    way: str
    folder: Path

    def client(self, limit: int = 1 << 16) -> contextlib.AbstractAsyncContextManager[RawClient]:
        """A connection to the worker."""
        if self.way == "unix":
            return RawClient.to(0, limit, path=str(self.folder / "router.sock"))
        if self.way == "ipv6":
            return RawClient.to(self.worker.port, limit, host="::1")
        return RawClient.to(self.worker.port, limit, tls=self.authority.client())


@contextlib.asynccontextmanager
async def served(
    way: str, folder: Path, script: Script = behave, *, pool: dict[str, Any] | None = None, **router: Any
) -> AsyncIterator[Served]:
    """Start both; `router` and `pool` are further settings of these sections."""
    authority = Authority(folder)
    engine = FakeEngine(script)
    section: dict[str, Any] = {"port": 0, **router, "timeouts": {**QUICK, **router.pop("timeouts", {})}}
    listed: dict[str, Any] = {"name": "bf16", "precision": "bf16", **(pool or {})}
    if way == "tls":
        engine.tls = authority.issue("engine").server()
        listed["tls"] = {"ca_file": str(authority.file)}
        section["tls"] = {**authority.issue("router").settings(), **router.pop("tls", {})}
    elif way == "unix":
        engine.path = str(folder / "engine.sock")
        section["listen"] = f"unix:{folder}/router.sock"
    else:
        section["host"] = engine.host = "::1"
    async with engine:
        settings = RouterFile.model_validate({"pools": [{**listed, "instances": [engine.url]}], "router": section})
        worker = Worker(settings)
        await worker.start()
        try:
            yield Served(worker, engine, authority, way, folder)
        finally:
            await worker.stop()
