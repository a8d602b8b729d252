"""Sleep and wake of vLLM engines, verified, with a canary after each wake.

The endpoints exist where vLLM runs with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode. `mode=wait` lets a request
that slipped in finish, where the default would abort it. Of level 2 the weights are gone: `/wake_up` alone brings back
memory with nothing in it, and an engine that answers nonsense with status 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp

from controller.clock import Clock
from controller.errors import ActuationError
from controller.http.bounded_body import read_body
from controller.model.fleet import Site
from controller.model.plan import InstanceCommand, Verb
from controller.ports import EngineClient
from router.contract import InstanceId, PoolId

CANARY = {"prompt": "1", "max_tokens": 1, "temperature": 0}
"""A completion of one token; vLLM takes its only model when none is named."""
_KEY_REMEDY = "it wants another key: name that of its start in pools[].engine_key_file"
_DISCARDS = 2
"""Level of sleep that drops the weights."""
_MAX_ANSWER_BYTES = 1 << 20
_RELOAD: dict[str, object] = {"method": "reload_weights"}
_DISCARDED = re.compile(rb'^vllm:engine_sleep_state\{[^}\n]*sleep_state="discard_all"[^}\n]*\} 1(\.0)?$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EngineDeadlines:
    """Longest waits: for a plain answer, verbs, weights from the disk, the canary; and between two looks."""

    answer_s: float = 2.0
    sleep_s: float = 120.0
    wake_s: float = 180.0
    reload_s: float = 900.0
    canary_s: float = 20.0
    poll_s: float = 0.2


class EngineDriver:
    """Puts engines to sleep and wakes them."""

    def __init__(
        self,
        engines: EngineClient,
        present: Callable[[], Site],
        clock: Clock,
        *,
        sleep_level: int = 1,
        model: str | None = None,
        headers: Mapping[PoolId, Mapping[str, str]] = MappingProxyType({}),
        deadlines: EngineDeadlines = EngineDeadlines(),
    ) -> None:
        """Remember how engines are asked.

        Args:
            engines: asks them.
            present: the site with the instances there are.
            clock: for the time between two looks.
            sleep_level: 1 keeps the weights, 2 drops them.
            model: named by the canary; None leaves that to the engine.
            headers: for the canary at engines of each pool, such as their key, which guards what is below /v1.
            deadlines: longest waits.
        """
        self._engines = engines
        self._present = present
        self._clock = clock
        self._sleep_level = sleep_level
        self._headers = headers
        self._canary = {**CANARY, **({"model": model} if model else {})}
        self._deadlines = deadlines
        self._without_weights: set[str] = set()

    @property
    def verbs(self) -> Collection[Verb]:
        """Sleep and wake."""
        return (Verb.SLEEP, Verb.WAKE)

    async def carry_out(self, command: InstanceCommand) -> str:
        """Bring the engine into the state and make sure of it.

        Raises:
            ActuationError: the engine is unknown, does not answer, refuses, or is not there in time.
        """
        base, headers = self._reached(command.instance_id)
        wake_s = self._deadlines.wake_s + (self._deadlines.reload_s if self._sleep_level == _DISCARDS else 0.0)
        steps: Mapping[Verb, tuple[Callable[[], Awaitable[str]], float]] = {
            Verb.SLEEP: (lambda: self._sleep(base), self._deadlines.sleep_s),
            Verb.WAKE: (lambda: self._wake(base, headers), wake_s),
        }
        if command.verb not in steps:
            raise ActuationError(command.instance_id, f"an engine cannot be told to {command.verb.value}")
        step, deadline_s = steps[command.verb]
        try:
            async with asyncio.timeout(deadline_s):
                return await step()
        except TimeoutError as error:
            raise ActuationError(
                command.instance_id, f"{command.verb.value}: not done within {deadline_s:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ActuationError(
                command.instance_id, f"{command.verb.value}: {base}: {type(error).__name__}: {error}"
            ) from error
        except _Refused as error:
            raise ActuationError(command.instance_id, f"{command.verb.value}: {error}") from error

    def _reached(self, instance_id: InstanceId) -> tuple[str, Mapping[str, str]]:
        """Address of an engine, and what its canary is shown with."""
        found = self._present().find(instance_id)
        if found is None:
            raise ActuationError(instance_id, "there is no such instance")
        return found[1].url.rstrip("/"), self._headers.get(found[0].pool_id, {})

    async def _sleep(self, base: str) -> str:
        if await self._is_sleeping(base):
            return "already asleep"
        await self._post(base, f"/sleep?level={self._sleep_level}&mode=wait", self._deadlines.sleep_s)
        await self._until(lambda: self._is_sleeping(base))
        return f"asleep at level {self._sleep_level}"

    async def _wake(self, base: str, headers: Mapping[str, str]) -> str:
        was_asleep = await self._is_sleeping(base)
        if was_asleep and await self._is_without_weights(base):
            await self._load_weights(base)
        elif was_asleep:
            await self._post(base, "/wake_up", self._deadlines.wake_s)
        await self._until(lambda: self._is_serving(base))
        await self._post(base, "/v1/completions", self._deadlines.canary_s, body=self._canary, headers=headers)
        return "awake, canary answered" if was_asleep else "already awake, canary answered"

    async def _load_weights(self, base: str) -> None:
        """Wake an engine that has dropped its weights; doing it anew from the first step is harmless."""
        self._without_weights.add(base)  # once a part of it is awake, its metrics call it awake
        await self._post(base, "/wake_up?tags=weights", self._deadlines.wake_s)
        await self._post(base, "/collective_rpc", self._deadlines.reload_s, body=_RELOAD)
        await self._post(base, "/wake_up?tags=kv_cache", self._deadlines.wake_s)
        self._without_weights.discard(base)

    async def _is_without_weights(self, base: str) -> bool:
        """Whether a sleeper has dropped its weights; whoever had it do so."""
        if self._sleep_level == _DISCARDS or base in self._without_weights:
            return True
        timeout = self._timeout(self._deadlines.answer_s)
        with contextlib.suppress(_Refused, aiohttp.ClientError, TimeoutError):
            async with self._engines.request("GET", base, "/metrics", timeout=timeout) as response:
                return response.status == 200 and bool(_DISCARDED.search(await _read(response, f"{base}/metrics")))
        return False

    async def _until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the engine says so; the caller's deadline ends the wait."""
        while not await is_so():
            await self._clock.sleep(self._deadlines.poll_s)

    async def _is_serving(self, base: str) -> bool:
        if await self._is_sleeping(base):
            return False
        timeout = self._timeout(self._deadlines.answer_s)
        async with self._engines.request("GET", base, "/health", timeout=timeout) as response:
            return response.status == 200

    async def _is_sleeping(self, base: str) -> bool:
        url = f"{base}/is_sleeping"
        timeout = self._timeout(self._deadlines.answer_s)
        async with self._engines.request("GET", base, "/is_sleeping", timeout=timeout) as response:
            if response.status == 404:
                raise _Refused(f"{url} is absent; start vLLM with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode")
            if response.status != 200:
                raise _Refused(f"{url}: status {response.status}")
            try:
                answer = json.loads(await _read(response, url))
            except (ValueError, RecursionError) as error:
                raise _Refused(f"{url}: not JSON") from error
            value = answer.get("is_sleeping") if isinstance(answer, dict) else None
            if not isinstance(value, bool):
                raise _Refused(f"{url}: no is_sleeping in the answer")
            return value

    async def _post(
        self,
        base: str,
        path: str,
        timeout_s: float,
        *,
        body: dict[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        timeout = self._timeout(timeout_s)
        async with self._engines.request("POST", base, path, json=body, headers=headers, timeout=timeout) as response:
            answer = await _read(response, f"{base}{path}")
            if response.status == 401:
                raise _Refused(f"{base}{path}: status 401: {_KEY_REMEDY}")
            if response.status != 200:
                text = answer[:200].decode(errors="replace")
                raise _Refused(f"{base}{path}: status {response.status}: {text}")

    @staticmethod
    def _timeout(total_s: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=total_s)


async def _read(response: aiohttp.ClientResponse, url: str) -> bytes:
    return await read_body(response, _MAX_ANSWER_BYTES, lambda reason: _Refused(f"{url}: {reason}"))


class _Refused(Exception):  # noqa: N818 - reads as the outcome it is
    """The engine answered, but not as it should."""
