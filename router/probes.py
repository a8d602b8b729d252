"""Asking engines how they are: /health and the few lines of /metrics that routing needs.

While the controller tells what it reads of the engines itself, several routers ask less often: see `router.probe_pace`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from router.contract import InstanceId
from router.contract_loads import EngineState, InstanceLoad, Loads
from router.exchange import InstanceSpec
from router.fleet import EngineLoad
from router.load_source import FRESH_S
from router.probe_pace import Pace
from router.settings import HealthSettings
from router.snapshot import LoadsView
from router.tenants.engine_keys import NO_KEYS, EngineKeys
from router.transport.asking import EngineSession

log = logging.getLogger(__name__)

JITTER_FRAC = 0.1
"""Intervals vary by this much either way, so that routers started together do not probe together."""
MAX_METRICS_BYTES = 4 << 20
MAX_VALUE = 1e9
"""Larger figures are no load of one engine but a fault in its metrics."""

_SAMPLE = re.compile(
    rb"^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc|engine_sleep_state)"
    rb"(\{[^}\n]*\})? ([0-9.eE+-]+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found.

    Attributes:
        load: None if the engine does not tell it.
        reason: why it does not count as healthy; None where it does.
    """

    load: EngineLoad | None = None
    reason: str | None = None

    @property
    def state(self) -> EngineState | None:
        """In the controller's words; None where the engine is well and does not tell its load."""
        if self.reason is not None:
            return EngineState.AWAY
        if self.load is None:
            return None
        return EngineState.SLEEPING if self.load.awake is False else EngineState.SERVING


@dataclass(frozen=True, slots=True)
class _Watch:
    """One instance that is asked: how often, and what ends the wait for the next time early."""

    pace: Pace
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class ProbeSink(Protocol):
    """What takes the results; `router.dispatch.Dispatcher` does."""

    def probed(self, instance_id: InstanceId, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
        """Take one probe into account; `ok` is None where the load alone is told, and by the controller."""


def read_load(text: bytes) -> EngineLoad | None:
    """Load of an engine from its metrics, or None if one of the three gauges is missing or absurd.

    Requests are summed over the engine's ranks; of KV cache usage the mean counts, as a rank's KV cache is its own.
    The engine sleeps if one of its ranks does.
    """
    values: dict[bytes, list[float]] = {}
    for name, labels, text_value in _SAMPLE.findall(text):
        if name == b"engine_sleep_state" and b'sleep_state="awake"' not in labels:
            continue
        try:
            value = float(text_value)
        except ValueError:
            return None
        if not 0 <= value <= MAX_VALUE:
            return None
        values.setdefault(name, []).append(value)
    running = values.get(b"num_requests_running")
    waiting = values.get(b"num_requests_waiting")
    usage = values.get(b"kv_cache_usage_perc")
    if not running or not waiting or not usage:
        return None
    awake = values.get(b"engine_sleep_state")
    return EngineLoad(
        running=round(sum(running)),
        waiting=round(sum(waiting)),
        kv_cache_usage_frac=sum(usage) / len(usage),
        awake=all(value > 0 for value in awake) if awake else None,
    )


class Prober:
    """Probes every instance at its own pace until cancelled.

    Args:
        engines: asks them.
        instances: whom to ask.
        settings: intervals and limits.
        sink: takes the results.
        steady_s: the clock that the sink goes by.
        rng: spreads the probes.
        keys: what the engines of each pool want to be shown.
        fresh_s: how long the controller's word is taken.
    """

    def __init__(
        self,
        engines: EngineSession,
        instances: Sequence[InstanceSpec],
        settings: HealthSettings,
        *,
        sink: ProbeSink,
        steady_s: Callable[[], float],
        rng: random.Random,
        keys: EngineKeys = NO_KEYS,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._engines = engines
        self._instances = tuple(instances)
        self._probed: dict[InstanceSpec, asyncio.Task[None]] = {}
        self._watches: dict[InstanceSpec, _Watch] = {}
        self._settings = settings
        self._fresh_s = fresh_s
        self._loads: Loads | None = None
        self._heard_at_s: float | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._interval_s = settings.probe_interval_s
        # A probe that outlasts the interval would be late for the next one.
        self._timeout_s = min(settings.probe_timeout_s, settings.probe_interval_s)
        self._sink = sink
        self._steady_s = steady_s
        self._rng = rng
        self._keys = keys

    async def run(self) -> None:
        """Probe for ever, one task an instance."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._changed.clear()
                    for instance in self._instances:
                        if instance not in self._probed:
                            watch = self._watches[instance] = _Watch(Pace(self._settings))
                            self._probed[instance] = group.create_task(self._watch(instance, watch))
                    await self._changed.wait()
        finally:
            # Begun again, it asks every engine anew and has heard nothing.
            self._loads = None
            self._probed.clear()
            self._watches.clear()
            if self._expiry is not None:
                self._expiry.cancel()

    def follow(self, instances: Sequence[InstanceSpec]) -> None:
        """Ask these from now on: those that are not among them no more, those that stay at their own pace."""
        self._instances = tuple(instances)
        for gone in self._probed.keys() - set(instances):
            self._probed.pop(gone).cancel()
            self._watches.pop(gone, None)
        self._changed.set()

    def heard(self, loads: Loads) -> None:
        """The controller has just told this; it counts for `fresh_s`, and for nothing where this router is alone."""
        loop = asyncio.get_running_loop()
        self._heard_at_s = loop.time()
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = loop.call_later(self._fresh_s, self._expire)
        was_shared, self._loads = self._is_shared, loads
        if self._is_shared is not was_shared:
            event = "engines' loads come from the controller" if self._is_shared else "no other router, own probes"
            log.info(event, extra={"routers": loads.routers})
        told = {each.instance_id: each for each in loads.instances} if self._is_shared else {}
        now_s = self._steady_s()
        for instance, watch in self._watches.items():
            self._hear(instance, watch, told.get(instance.instance_id), now_s)

    def doubt(self, instances: Collection[InstanceId]) -> None:
        """Requests to these have failed: ask them as soon as the router's own pace allows."""
        for instance, watch in self._watches.items():
            if instance.instance_id in instances:
                watch.pace.doubt()
                watch.changed.set()

    def loads_view(self) -> LoadsView:
        """What is told of the controller's word on the admin port."""
        loads, heard_at_s = self._loads, self._heard_at_s
        return LoadsView(
            "shared" if self._is_shared else "own",
            age_s=None if heard_at_s is None else asyncio.get_running_loop().time() - heard_at_s,
            routers=None if loads is None else loads.routers,
            agreed=sum(watch.pace.agrees for watch in self._watches.values()),
        )

    @property
    def _is_shared(self) -> bool:
        return self._loads is not None and self._loads.routers > 1

    def _hear(self, instance: InstanceSpec, watch: _Watch, told: InstanceLoad | None, now_s: float) -> None:
        if watch.pace.hear(None if told is None else told.state):
            watch.changed.set()
        if told is None or not watch.pace.agrees or told.state is EngineState.AWAY:
            return
        is_awake = told.state is EngineState.SERVING
        load = EngineLoad(told.running, told.waiting, told.kv_cache_usage_frac, awake=is_awake)
        self._sink.probed(instance.instance_id, ok=None, load=load, now_s=now_s)

    def _expire(self) -> None:
        """The controller tells nothing any more: ask as if there were none, but not all at this moment."""
        was_shared, self._loads = self._is_shared, None
        if was_shared:
            log.warning("engines' loads not told any more, own probes", extra={"silent_s": self._fresh_s})
        now_s = asyncio.get_running_loop().time()
        for watch in self._watches.values():
            if watch.pace.hear(None, now_s + self._rng.uniform(0, self._interval_s)):
                watch.changed.set()

    async def probe(self, instance: InstanceSpec) -> Finding:
        """Ask once: whether the engine is healthy, and its load if it tells.

        An engine without readable metrics is as healthy as its /health says.
        """
        is_healthy = False
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._health(instance)
                if status != 200:
                    return Finding(reason=f"/health is answered with {status}")
                is_healthy = True
                return Finding(await self._load(instance))
        except Exception as error:  # whatever it is, one engine must not end the probes of all others
            return Finding() if is_healthy else Finding(reason=self._cause(error))

    def _cause(self, error: Exception) -> str:
        if isinstance(error, TimeoutError) and not str(error):
            return f"no answer within {self._timeout_s:g} s"
        if not isinstance(error, aiohttp.ClientError | OSError):
            return f"{type(error).__name__}: {error}"
        return str(error) or type(error).__name__

    async def _watch(self, instance: InstanceSpec, watch: _Watch) -> None:
        was_ok: bool | None = None
        while True:
            found = await self.probe(instance)
            ok = found.reason is None
            self._sink.probed(instance.instance_id, ok=ok, load=found.load, now_s=self._steady_s())
            if ok is not was_ok:
                where = {"instance_id": instance.instance_id, "url": instance.url}
                if ok:
                    log.info("engine answers probes", extra=where)
                else:
                    log.warning("engine fails probes", extra={**where, "reason": found.reason})
                was_ok = ok
            spread = self._rng.uniform(1 - JITTER_FRAC, 1 + JITTER_FRAC)
            watch.pace.found(found.state, asyncio.get_running_loop().time(), spread)
            await self._due(watch)

    async def _due(self, watch: _Watch) -> None:
        """Wait until an instance is to be asked, which may come to be sooner or later meanwhile."""
        loop = asyncio.get_running_loop()
        while True:
            routers = 1 if self._loads is None else self._loads.routers
            left_s = watch.pace.due_s(routers) - loop.time()
            if left_s <= 0:
                return
            watch.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await watch.changed.wait()

    async def _health(self, instance: InstanceSpec) -> int:
        headers = self._keys.headers(instance.pool_id)
        async with self._engines.get(instance.url, "/health", headers=headers) as answer:
            return answer.status

    async def _load(self, instance: InstanceSpec) -> EngineLoad | None:
        headers = self._keys.headers(instance.pool_id)
        async with self._engines.get(instance.url, "/metrics", headers=headers) as answer:
            if answer.status != 200:
                return None
            text = bytearray()
            async for chunk in answer.content.iter_any():
                text += chunk
                if len(text) > MAX_METRICS_BYTES:
                    return None
        return read_load(bytes(text))
