"""A proxy under test: what it must say of itself, and how it is known to serve."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.processes import Processes, Started, free_port

PROXY_CORE = 0
PATIENCE_S = 90.0
REFUSALS = (400, 401, 403)
"""Answers that waiting does not change."""
KEY = "sk-bench-0123456789abcdef-%05d"
"""The n-th tenant's API key, as load.lua sends it; a proxy that is open to all disregards it."""
REQUEST = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


class UnavailableError(Exception):
    """A proxy cannot be measured; the text says why."""


@dataclass(frozen=True)
class Place:
    """Where a proxy is to stand."""

    port: int
    folder: Path
    engines: Sequence[str]


class Proxy(Protocol):
    """A proxy that can be started."""

    @property
    def name(self) -> str:
        """As in the report."""

    def command(self, place: Place) -> list[str]:
        """The words that start it, after writing what it needs into the place's folder."""

    def env(self) -> Mapping[str, str]:
        """Additions to the environment."""


@dataclass(frozen=True)
class RunningProxy:
    """A proxy that answers."""

    port: int
    started: Started
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_proxy(
    processes: Processes, proxy: Proxy, engines: Sequence[str], *, scheme: str = "http"
) -> Iterator[RunningProxy]:
    """Start a proxy, wait until a chat completion comes through it, and stop it after the block.

    Raises:
        UnavailableError: it is not installed, ends or does not answer in time.
    """
    port = free_port()
    folder = processes.folder / f"{proxy.name.replace(' ', '-')}-{port}"
    folder.mkdir()
    command = proxy.command(Place(port, folder, engines))
    with processes.running(proxy.name.replace(" ", "-"), command, core=PROXY_CORE, env=proxy.env()) as started:
        running = RunningProxy(port, started, scheme)
        _wait_until_it_serves(started, running.url)
        yield running


def _wait_until_it_serves(started: Started, url: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    reason = "nothing listened"
    while time.monotonic() < end_s:
        try:
            if b"choices" in _chat(url):
                return
            reason = "it answered, but not with a completion"
        except urllib.error.HTTPError as error:
            reason = str(error)
            if error.code in REFUSALS:
                break
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        if started.has_ended():
            raise UnavailableError(f"it ended with code {started.process.returncode}: {started.last_words()}")
        time.sleep(0.1)
    raise UnavailableError(f"no completion came ({reason}): {started.last_words()}")


def _chat(url: str) -> bytes:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY % 0}"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", REQUEST, headers)
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(request, timeout=3, context=unverified) as answer:
        data: bytes = answer.read()
        return data
