"""HTTP of the dashboard: the page, its files, the snapshot, the history and the stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from controller.dashboard.board import Board, TooManySubscribers

STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_WRITE_TIMEOUT_S = 10.0


class Pages:
    """Handlers over a board."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._files = {path.name: path for path in STATIC.iterdir() if path.suffix in _TYPES}

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/", self.page)
        app.router.add_get("/static/{name}", self.static)
        app.router.add_get("/api/state", self.state)
        app.router.add_get("/api/history", self.history)
        app.router.add_get("/api/stream", self.stream)

    async def page(self, request: web.Request) -> web.Response:
        """The page itself."""
        return self._file("index.html")

    async def static(self, request: web.Request) -> web.Response:
        """One of the page's files; only those shipped can be had."""
        return self._file(request.match_info["name"])

    async def state(self, request: web.Request) -> web.Response:
        """The present snapshot; 503 before the first reading."""
        if self._board.snapshot is None:
            raise web.HTTPServiceUnavailable(text="no reading yet; try again in a second")
        return web.json_response(self._board.snapshot)

    async def history(self, request: web.Request) -> web.Response:
        """The last half hour."""
        response = web.json_response(self._board.history())
        response.enable_compression()
        return response

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Snapshots as server-sent events; a page that does not read is cut off."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        snapshots = self._board.subscribe()
        try:
            first = await anext(snapshots, None)
        except TooManySubscribers as error:
            raise web.HTTPServiceUnavailable(text="too many pages are open; close some") from error
        try:
            await response.prepare(request)
            while first is not None:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await response.write(b"data: " + first + b"\n\n")
                first = await anext(snapshots, None)
        except (ConnectionError, TimeoutError):  # the page was closed, or does not read
            if request.transport is not None:
                request.transport.abort()
        finally:
            await snapshots.aclose()
        return response

    def _file(self, name: str) -> web.Response:
        path = self._files.get(name)
        if path is None:
            raise web.HTTPNotFound(text=f"no file {name!r}")
        return web.Response(
            body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=dict(_HEADERS)
        )
