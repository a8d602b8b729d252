"""From the start of a proxy's process until it serves."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

from tests.bench.bench import Bench, Subject
from tests.bench.engines import Engine
from tests.bench.ours import Ours
from tests.bench.processes import Started, free_port
from tests.bench.proxies import PATIENCE_S, PROXY_CORE, REQUEST, Place, UnavailableError

POLL_S = 0.002
COMPLETION = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(REQUEST), REQUEST)
)
READY = b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"


def measure_round(bench: Bench, subjects: list[Subject]) -> None:
    """Start each subject once."""
    with bench.engine(Engine(addresses=bench.addresses(subjects))) as engine:
        for subject in bench.available(subjects, "start"):
            name, proxy = subject.proxy.name, subject.proxy
            if isinstance(proxy, Ours):
                proxy = replace(proxy, admin_port=free_port())
            with bench.noting(name, "start"):
                port = free_port()
                folder = bench.processes.folder / f"start-{port}"
                folder.mkdir()
                command = proxy.command(Place(port, folder, engine.urls[: subject.addresses]))
                begun_s = time.monotonic()
                with bench.processes.running("start", command, core=PROXY_CORE, env=proxy.env()) as started:
                    if isinstance(proxy, Ours):
                        admin_port = proxy.admin_port or 0
                        ready_s = _until(started, lambda n=admin_port: _answer(n, READY)) - begun_s  # type: ignore[misc]
                        bench.results.add(name, ready_s=ready_s)
                    served_s = _until(started, lambda n=port: _answer(n, COMPLETION)) - begun_s  # type: ignore[misc]
                    bench.results.add(name, first_served_s=served_s)


def _until(started: Started, holds: Callable[[], bool]) -> float:
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        if started.has_ended() or time.monotonic() > end_s:
            raise UnavailableError(f"it did not begin to serve: {started.last_words()}")
        time.sleep(POLL_S)
    return time.monotonic()


def _answer(port: int, request: bytes) -> bool:
    """Whether the answer is 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
            sock.sendall(request)
            return sock.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False
