"""A client of a fake VTN, in the role of a VEN or of the utility's business logic."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from controller.clock import Clock, SystemClock
from controller.openadr.auth import Credentials
from controller.openadr.client import VtnClient
from controller.openadr.http import VtnHttp, tls_context
from tests.fakes.vtn.server import FakeVtn


@contextlib.asynccontextmanager
async def client_of(
    vtn: FakeVtn, folder: Path, *, client_id: str = "ven-1", clock: Clock | None = None, **options: Any
) -> AsyncIterator[VtnClient]:
    """A client that logs in as one of the VTN's; the secret lies in a file of `folder`."""
    credentials = None
    if vtn.clients:
        secret_file = folder / f"{client_id}.secret"
        secret_file.write_text(vtn.clients[client_id][0])
        credentials = Credentials(client_id, secret_file)
    timeout_s = options.pop("timeout_s", 2.0)
    async with aiohttp.ClientSession() as session:
        http = VtnHttp(session, options.pop("tls", None) or tls_context(None), timeout_s)
        yield VtnClient(http, vtn.url, clock or SystemClock(), credentials=credentials, **options)
