"""What each engine says of itself: vLLM's /metrics, /is_sleeping and /health.

An engine that does not answer is a state, not an error. /health stays 200 while vLLM sleeps, and /is_sleeping exists
only where the server runs in development mode, so both are asked, and the sleep gauge of /metrics stands in. Neither is
asked while the counts of tokens grow: an engine that works is well and awake, and each question costs as much as
reading the metrics. Data parallel engines show one series an `engine` label; they are summed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from controller.errors import SignalError
from controller.model.fleet import Instance, Pool, Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.ports import EngineClient
from controller.signals.http_client import ask_engine
from controller.signals.latency import Histogram, LatencyWindow
from controller.signals.prometheus_text import parse
from controller.signals.supervisor import SupervisorSource
from router.contract import InstanceId

log = logging.getLogger(__name__)

_TTFT = "vllm:time_to_first_token_seconds_bucket"
_ITL = "vllm:inter_token_latency_seconds_bucket"
_GAUGES = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
_COUNTERS = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
CACHED = ("vllm:prompt_tokens_cached_total", "vllm:prefix_cache_hits_total")
"""Of the prompt tokens, those that a cache held already. The first is counted with the prompt tokens; the second, all
that older engines have, as a prompt is scheduled."""
_STEPS = "vllm:iteration_tokens_total_count"
"""Each step is one observation of this histogram."""
_SLEEP = "vllm:engine_sleep_state"
_WANTED = frozenset((*_GAUGES, *_COUNTERS, *CACHED, _STEPS, _SLEEP, _TTFT, _ITL))
_SUPERVISED = {
    "off": InstanceState.OFF,
    "stopped": InstanceState.OFF,
    "starting": InstanceState.STARTING,
    "waking": InstanceState.WAKING,
}
"""States of the supervisor that say more than the engine's own port can."""
_ENDING = "stopping"
"""One that ends what it has under way says that it is healthy, and answers new requests with 500."""


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """What a tick needs of an engine's /metrics, summed over its `engine` labels.

    Attributes:
        kv_cache_usage_frac: mean over the engine labels.
        is_sleeping: by the sleep gauge; None where the engine has none.
        cached_tokens: of `prompt_tokens`, those that were not computed; None where the engine does not tell.
        steps: engine steps that gave tokens (vLLM counts none that computed parts of prompts only), mean over the
            engine labels, which step together; None where they are not counted.
        ttft, itl: cumulative buckets of the latency histograms.
    """

    running: int
    waiting: int
    prompt_tokens: float
    generation_tokens: float
    kv_cache_usage_frac: float
    is_sleeping: bool | None
    ttft: Histogram
    itl: Histogram
    steps: float | None = None
    cached_tokens: float | None = None


def engine_metrics(text: str) -> EngineMetrics:
    """Read an engine's exposition text.

    Raises:
        ValueError: the text is malformed, or is not of a vLLM engine.
    """
    values: dict[str, list[float]] = {name: [] for name in (*_GAUGES, *_COUNTERS, *CACHED, _STEPS)}
    awake: list[bool] = []
    buckets: dict[str, dict[float, float]] = {_TTFT: {}, _ITL: {}}
    for sample in parse(text, _WANTED):
        if not math.isfinite(sample.value):
            continue
        if sample.name == _SLEEP:
            if sample.labels.get("sleep_state") == "awake":
                awake.append(sample.value > 0)
        elif sample.name in buckets:
            edge_s = float(sample.labels.get("le", "nan"))
            buckets[sample.name][edge_s] = buckets[sample.name].get(edge_s, 0.0) + sample.value
        else:
            values[sample.name].append(sample.value)
    running, waiting, kv = (values[name] for name in _GAUGES)
    if not running or not waiting:
        raise ValueError(f"{_GAUGES[0]} and {_GAUGES[1]} are not among the metrics; is this a vLLM engine?")
    prompt, generation = (sum(values[name]) for name in _COUNTERS)
    cached = next((sum(values[name]) for name in CACHED if values[name]), None)
    return EngineMetrics(
        running=round(sum(running)),
        waiting=round(sum(waiting)),
        prompt_tokens=prompt,
        generation_tokens=generation,
        kv_cache_usage_frac=sum(kv) / len(kv) if kv else 0.0,
        is_sleeping=not any(awake) if awake else None,
        ttft=tuple(sorted(buckets[_TTFT].items())),
        itl=tuple(sorted(buckets[_ITL].items())),
        steps=sum(values[_STEPS]) / len(values[_STEPS]) if values[_STEPS] else None,
        cached_tokens=None if cached is None else min(prompt, cached),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    state: InstanceState
    metrics: EngineMetrics | None = None
    reason: str = ""


class EngineSource:
    """Observes every instance of a site; remembers since when each is in its state."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        present: Callable[[], Site],
        *,
        engines: EngineClient,
        supervisor: SupervisorSource | None = None,
        timeout_s: float = 1.5,
        latency_window_s: float = 30.0,
    ) -> None:
        self._session = session
        self._engines = engines
        self._present = present
        self._supervisor = supervisor
        self._timeout_s = timeout_s
        self._since: dict[InstanceId, tuple[InstanceState, float]] = {}
        self._last_metrics: dict[InstanceId, EngineMetrics] = {}
        self._tells_cached: dict[InstanceId, bool] = {}
        self._working: set[InstanceId] = set()
        self.latency = LatencyWindow(latency_window_s)

    async def read(self, now_s: float) -> tuple[InstanceObservation, ...]:
        """One observation an instance there is, in the order of the site."""
        targets = tuple((pool, instance) for pool in self._present().pools for instance in pool.instances)
        self._forget_others(targets)
        supervised, found = await asyncio.gather(
            self._supervised(), asyncio.gather(*(self._probe(instance) for _, instance in targets))
        )
        observations = []
        for (pool, instance), probe in zip(targets, found, strict=True):
            observations.append(self._observation(pool, instance, probe, supervised=supervised, now_s=now_s))
        self.latency.prune(now_s)
        return tuple(observations)

    def _forget_others(self, targets: tuple[tuple[Pool, Instance], ...]) -> None:
        """Forget instances that there are no more."""
        gone = self._since.keys() - {instance.instance_id for _, instance in targets}
        for instance_id in gone:
            del self._since[instance_id]
            self._last_metrics.pop(instance_id, None)
            self._tells_cached.pop(instance_id, None)
            self._working.discard(instance_id)

    async def _supervised(self) -> Mapping[str, str]:
        """State of each instance by the supervisor; empty where there is none or it does not answer."""
        return {} if self._supervisor is None else await self._supervisor.read()

    async def _probe(self, instance: Instance) -> _Found:
        base, before = instance.url.rstrip("/"), self._last_metrics.get(instance.instance_id)
        try:
            if instance.instance_id not in self._working:
                return _found(*await _all_of(self._metrics(base), self._is_sleeping(base), self._require_health(base)))
            metrics = await self._metrics(base)
            if _has_worked(before, metrics):
                return _Found(InstanceState.SERVING, metrics)
            return _found(metrics, *await _all_of(self._is_sleeping(base), self._require_health(base)))
        except SignalError as error:
            return _Found(InstanceState.UNREACHABLE, reason=str(error))

    async def _metrics(self, base: str) -> EngineMetrics:
        status, body = await ask_engine(self._engines, base, "/metrics", self._timeout_s)
        if status != 200:
            raise SignalError(f"{base}/metrics", f"status {status}")
        try:
            return engine_metrics(body.decode())
        except ValueError as error:
            raise SignalError(f"{base}/metrics", str(error)) from error

    async def _require_health(self, base: str) -> None:
        status, _ = await ask_engine(self._engines, base, "/health", self._timeout_s)
        if status != 200:
            raise SignalError(f"{base}/health", f"status {status}")

    async def _is_sleeping(self, base: str) -> bool | None:
        """The engine's own answer; None where the endpoint is absent."""
        status, body = await ask_engine(self._engines, base, "/is_sleeping", self._timeout_s)
        if status != 200:
            return None
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise SignalError(f"{base}/is_sleeping", "not JSON") from error
        value = answer.get("is_sleeping") if isinstance(answer, dict) else None
        return value if isinstance(value, bool) else None

    def _observation(
        self, pool: Pool, instance: Instance, found: _Found, *, supervised: Mapping[str, str], now_s: float
    ) -> InstanceObservation:
        instance_id = instance.instance_id
        state, told = found.state, supervised.get(instance_id, "")
        if state is not InstanceState.SERVING:
            state = _SUPERVISED.get(told, state)
        elif told == _ENDING:
            state = InstanceState.UNREACHABLE
        metrics = found.metrics or self._last_metrics.get(instance_id)
        previous = self._last_metrics.get(instance_id)
        self._working.discard(instance_id)
        if found.metrics is not None:
            self.latency.add(now_s, previous, found.metrics)
            self._last_metrics[instance_id] = found.metrics
            if _has_worked(previous, found.metrics):
                self._working.add(instance_id)
        self._note_cache(instance_id, found.metrics)
        since_s = self._enter(instance_id, state, now_s=now_s, reason=found.reason)
        answered = found.metrics is not None
        return InstanceObservation(
            instance_id=instance_id,
            pool_id=pool.pool_id,
            state=state,
            observed_at_s=now_s,
            since_s=since_s,
            running=metrics.running if metrics and answered else 0,
            waiting=metrics.waiting if metrics and answered else 0,
            prompt_tokens=metrics.prompt_tokens if metrics else 0.0,
            generation_tokens=metrics.generation_tokens if metrics else 0.0,
            kv_cache_usage_frac=metrics.kv_cache_usage_frac if metrics and answered else 0.0,
            steps=metrics.steps if metrics else None,
            cached_tokens=metrics.cached_tokens if metrics else None,
        )

    def _note_cache(self, instance_id: InstanceId, metrics: EngineMetrics | None) -> None:
        """Log once that an engine does not tell what its prefix cache held, and that it does again."""
        if metrics is None:
            return
        tells = metrics.cached_tokens is not None
        if tells is not self._tells_cached.get(instance_id, True):
            event = "cached prompt tokens are told" if tells else "cached prompt tokens not told, all count as computed"
            log.log(logging.INFO if tells else logging.WARNING, event, extra={"instance": instance_id})
        self._tells_cached[instance_id] = tells

    def _enter(self, instance_id: InstanceId, state: InstanceState, *, now_s: float, reason: str) -> float:
        """Since when the instance is in its state; a change is logged."""
        known = self._since.get(instance_id)
        if known is not None and known[0] is state:
            return known[1]
        self._since[instance_id] = (state, now_s)
        level = logging.WARNING if state is InstanceState.UNREACHABLE else logging.INFO
        log.log(
            level,
            "instance state",
            extra={
                "instance_id": instance_id,
                "state": state.value,
                "before": known[0].value if known else None,
                "reason": reason,
            },
        )
        return now_s


async def _all_of(*answers: Awaitable[Any]) -> list[Any]:
    """What all say, once all have; the first that fails is raised."""
    results = await asyncio.gather(*answers, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _has_worked(before: EngineMetrics | None, now: EngineMetrics) -> bool:
    """Whether tokens were computed between two looks."""
    return before is not None and (
        now.generation_tokens > before.generation_tokens or now.prompt_tokens > before.prompt_tokens
    )


def _found(metrics: EngineMetrics, asleep: bool | None, _: None) -> _Found:
    """Of an engine that is well: the gauge stands in for what it does not say of its sleep."""
    sleeping = metrics.is_sleeping if asleep is None else asleep
    return _Found(InstanceState.SLEEPING if sleeping else InstanceState.SERVING, metrics)
