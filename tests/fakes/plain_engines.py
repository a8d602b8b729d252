"""Engines at http://, asked over a test's own session."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp


class PlainEngines:
    """Stands for `router.transport.asking.EngineSession`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(
        self, method: str, url: str, path: str, **options: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session.request(method, f"{url}{path}", allow_redirects=False, **options)
