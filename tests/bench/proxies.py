"""The proxies under test: how each is started in front of engines, and how it is known to serve."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.bench.processes import Processes, Started, free_port

PROXY_CORE = 0
PATIENCE_S = 90.0
REQUEST = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
NGINX = """\
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log {folder}/err.log;
events {{ worker_connections 16384; }}
http {{ access_log off; client_max_body_size 64m; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
 upstream u {{ {servers} keepalive 512; keepalive_requests 100000000; }}
 server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000;
  client_body_buffer_size 2m;
  location / {{ proxy_pass http://u; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""


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
class Nginx:
    """A reverse proxy without routing or metrics: the limit."""

    name: str = "nginx"

    def command(self, place: Place) -> list[str]:
        servers = " ".join(f"server {url.removeprefix('http://')};" for url in place.engines)
        file = place.folder / "nginx.conf"
        file.write_text(NGINX.format(folder=place.folder, port=place.port, servers=servers))
        return ["nginx", "-c", str(file), "-e", str(place.folder / "err.log")]

    def env(self) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True)
class Peer:
    """A router from the registry, in an environment of its own.

    Attributes:
        requirement: what is installed there.
        venv: the environment.
        words: its options; {port}, {metrics_port}, {urls} and {folder} are filled in, {urls} into one word each.
        files: what to write into its folder first.
    """

    name: str
    requirement: str
    venv: Path
    words: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def command(self, place: Place) -> list[str]:
        program = self.venv / "bin" / self.name
        if not program.exists():
            raise UnavailableError(f"{self.requirement} is not installed in {self.venv}")
        for name, text in self.files.items():
            (place.folder / name).write_text(text.replace("{url}", place.engines[0]))
        filled = [str(program)]
        for word in self.words:
            if word == "{urls}":
                filled += place.engines
            else:
                filled.append(word.format(port=place.port, metrics_port=free_port(), folder=place.folder))
        return filled

    def env(self) -> Mapping[str, str]:
        return self.variables


@dataclass(frozen=True)
class Ours:
    """Our router with its features on.

    Attributes:
        pools: how many, the engines shared evenly among them.
        table_url: allocation to obey; without it the static weights hold.
        checkout: measure the router of this working tree; None takes the installed one.
    """

    name: str = "wattroute"
    pools: int = 1
    table_url: str | None = None
    sections: Mapping[str, object] = field(default_factory=dict)
    admin_port: int | None = None
    checkout: Path | None = None

    def command(self, place: Place) -> list[str]:
        file = place.folder / "wattroute.yaml"
        file.write_text(json.dumps(self.document(place)))
        return [str(Path(sys.executable).with_name("wattroute-router")), "--config", str(file)]

    def document(self, place: Place) -> dict[str, object]:
        """The configuration file; JSON is YAML."""
        each = len(place.engines) // self.pools
        precisions = ("bf16", "fp8", "int8", "int4")
        pools = [
            {
                "name": name,
                "precision": precisions[n % len(precisions)],
                "instances": list(place.engines[n * each : (n + 1) * each]),
                "max_in_flight": 20_000,
            }
            for n, name in enumerate(pool_names(self.pools))
        ]
        classes = [
            {"name": "standard", "service_tiers": ["auto", "default"]},
            {"name": "flex", "service_tiers": ["flex"]},
            {"name": "exact", "service_tiers": ["priority"], "precisions": ["bf16"]},
        ]
        admin_port = free_port() if self.admin_port is None else self.admin_port
        return {
            "model": "m",
            "pools": pools,
            "classes": classes,
            "router": {"port": place.port, "admin_port": admin_port, "timeouts": {"drain_s": 1.0}},
            "table": {} if self.table_url is None else {"url": self.table_url},
            **self.sections,
        }

    def env(self) -> Mapping[str, str]:
        return {} if self.checkout is None else {"PYTHONPATH": str(self.checkout)}


CLASS_NAMES = ("standard", "flex", "exact")


def pool_names(count: int) -> list[str]:
    """Names of our router's pools."""
    return [f"pool{n}" for n in range(count)]


def peers(build: Path) -> list[Peer]:
    """The routers from the registry."""
    quiet = ("--log-level", "error", "--policy", "round_robin", "--worker-urls", "{urls}", "--port", "{port}")
    metrics = ("--prometheus-port", "{metrics_port}")
    model = "model_list: [{model_name: m, litellm_params: {model: openai/m, api_base: '{url}/v1', api_key: none}}]\n"
    return [
        Peer("vllm-router", "vllm-router==0.1.17", build / "vllm-router", (*quiet, *metrics)),
        Peer("smg", "smg==1.13.0", build / "smg", ("launch", *quiet, *metrics)),
        Peer(
            "litellm",
            "litellm[proxy]==1.109.1",
            build / "litellm",
            ("--config", "{folder}/litellm.yaml", "--port", "{port}", "--host", "127.0.0.1", "--num_workers", "1"),
            {"litellm.yaml": model},
            {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        ),
    ]


@dataclass(frozen=True)
class RunningProxy:
    """A proxy that answers."""

    port: int
    started: Started

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_proxy(processes: Processes, proxy: Proxy, engines: Sequence[str]) -> Iterator[RunningProxy]:
    """Start a proxy, wait until a chat completion comes through it, and stop it after the block.

    Raises:
        UnavailableError: it is not installed, ends or does not answer in time.
    """
    port = free_port()
    folder = processes.folder / f"{proxy.name.replace(' ', '-')}-{port}"
    folder.mkdir()
    command = proxy.command(Place(port, folder, engines))
    with processes.running(proxy.name.replace(" ", "-"), command, core=PROXY_CORE, env=proxy.env()) as started:
        _wait_until_it_serves(started, port)
        yield RunningProxy(port, started)


def _wait_until_it_serves(started: Started, port: int) -> None:
    end_s = time.monotonic() + PATIENCE_S
    reason = "nothing listened"
    while time.monotonic() < end_s:
        try:
            if b"choices" in _chat(port):
                return
            reason = "it answered, but not with a completion"
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        if started.has_ended():
            raise UnavailableError(f"it ended with code {started.process.returncode}: {started.last_words()}")
        time.sleep(0.1)
    raise UnavailableError(f"no completion within {PATIENCE_S:.0f} s ({reason}): {started.last_words()}")


def _chat(port: int) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", REQUEST, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=3) as answer:
        data: bytes = answer.read()
        return data
