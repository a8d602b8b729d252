"""An allocation table over HTTP, as the controller gives it, for our router to obey while it is measured."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from router.contract import AllocationTable, ClassId, ClassWeights, PoolId, PoolWeight, encode

VALID_S = 3500.0


@contextlib.contextmanager
def table_server(pools: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    """Serve one table that weighs the pools unequally, so that choosing is no mere turn; gives its address."""
    body = encode(_table(pools, classes))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            unchanged = self.headers.get("If-None-Match") == '"1"'
            self.send_response(304 if unchanged else 200)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "0" if unchanged else str(len(body)))
            self.end_headers()
            if not unchanged:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/allocation"
    finally:
        server.shutdown()
        server.server_close()


def _table(pools: Sequence[str], classes: Sequence[str]) -> AllocationTable:
    weights = tuple(PoolWeight(PoolId(pool), 1.0 + 0.1 * (n % 7)) for n, pool in enumerate(pools))
    now_s = time.time()
    return AllocationTable(
        sequence=1,
        issued_at_s=now_s,
        expires_at_s=now_s + VALID_S,
        issuer="bench",
        weights=tuple(ClassWeights(ClassId(name), weights) for name in classes),
    )
