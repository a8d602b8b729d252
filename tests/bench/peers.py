"""The proxies that ours is measured beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import free_port
from tests.bench.proxies import Place, UnavailableError

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
            "litellm[proxy]>=1.100,<1.110",
            build / "litellm",
            ("--config", "{folder}/litellm.yaml", "--port", "{port}", "--host", "127.0.0.1", "--num_workers", "1"),
            {"litellm.yaml": model},
            {
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            },
        ),
    ]
