"""Fake engines as the pods of a Service: each with an EndpointSlice of its own, as a test is the only controller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave, chat
from tests.fakes.kube.kinds import ENDPOINT_SLICES
from tests.fakes.kube.samples import endpoint, endpoint_slice
from tests.fakes.kube.server import KubeServer

NAMESPACE = "llm"
SERVICE = "vllm-bf16"
METRICS = b"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0\n"


async def serve_slowly(request: Request, wire: Wire) -> None:
    """As an engine in good health that tells its load, and takes its time over a stream."""
    if request.target == "/v1/chat/completions" and request.json().get("stream"):
        await chat(request, wire, tokens=5, pause_s=0.02)
    elif request.target == "/metrics":
        await wire.answer(200, METRICS, "content-type: text/plain; version=0.0.4")
    else:
        await behave(request, wire)


@dataclass
class EnginePods:
    """The pods of one Service."""

    kube: KubeServer
    engines: dict[str, FakeEngine] = field(default_factory=dict)

    async def start(self, name: str) -> FakeEngine:
        """A pod that is ready."""
        engine = self.engines[name] = FakeEngine(serve_slowly)
        await engine.start()
        self.kube.store.create(ENDPOINT_SLICES, NAMESPACE, self._slice(name, ready=True, serving=True))
        return engine

    def condition(self, name: str, **conditions: bool) -> None:
        """The conditions of a pod's endpoint from now on."""
        self.kube.store.replace(ENDPOINT_SLICES, NAMESPACE, self._slice(name, **conditions))

    def terminate(self, name: str) -> None:
        """As a pod that is deleted and ends what it has."""
        self.condition(name, ready=False, serving=True, terminating=True)

    async def remove(self, name: str) -> None:
        """A pod that is gone."""
        self.kube.store.delete(ENDPOINT_SLICES, NAMESPACE, f"{SERVICE}-{name}")
        await self.engines.pop(name).kill()

    async def close(self) -> None:
        for engine in self.engines.values():
            await engine.kill()

    def _slice(self, name: str, **conditions: bool) -> dict[str, Any]:
        made = endpoint("127.0.0.1", name, **conditions)
        ports = {"http": self.engines[name].port}
        return endpoint_slice(f"{SERVICE}-{name}", made, service=SERVICE, ports=ports)
