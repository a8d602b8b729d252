"""The engine that is profiled, over HTTP: what it is, its counters, its sleep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from controller.errors import ConfigError, ProfileError, SignalError
from controller.profile import facts
from controller.profile.design import Limits
from controller.profile.facts import Counters, EngineFacts
from controller.signals.http_client import read

TIMEOUT_S = 10.0
SLOW_TIMEOUT_S = 60.0
"""/server_info looks at the machine first; weights take their time to move."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine is.

    Attributes:
        base: scheme, host and port.
        api_key: never written anywhere.
    """

    base: str
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str, api_key: str | None) -> Address:
        """From what the operator wrote; a path such as /v1 is left out.

        Raises:
            ConfigError: it is no http address.
        """
        parts = urlsplit(url)
        try:
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            raise ConfigError(f"{url!r} is no address of an engine; write for example http://127.0.0.1:8000")
        if parts.username or parts.password:
            raise ConfigError("the address holds credentials; give a key with --api-key-file instead")
        return cls(f"{parts.scheme}://{parts.netloc}", api_key)

    @property
    def headers(self) -> Mapping[str, str]:
        """Of every request to /v1."""
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}


class Target:
    """One engine."""

    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        self.session = session
        self.address = address

    async def facts(self, model: str | None) -> EngineFacts:
        """What the engine is.

        Raises:
            ConfigError: the model is not served, or the key is wrong.
            ProfileError: the engine cannot be reached, or is none.
        """
        where = f"{self.address.base}/v1/models"
        status, body = await self._ask("GET", "/v1/models", TIMEOUT_S)
        if status in (401, 403):
            told = "refuses the key given; see that it is the engine's" if self.address.api_key else "asks for a key"
            raise ConfigError(
                f"{where}: status {status}: the engine {told}; give it with --api-key-file FILE or in the environment "
                "variable WATTROUTE_API_KEY"
            )
        if status != 200:
            raise ProfileError(f"{where}: status {status}; is this the address of an OpenAI server?")
        name, max_model_len = facts.model_of(body, model, where)
        info = await self._server_info()
        now, (version, is_emulated) = await self.counters(), await self._version()
        return EngineFacts(
            model=name,
            limits=Limits(
                max_model_len,
                now.kv_capacity_tokens,
                info.pop("max_num_seqs", None),
                info.pop("max_num_batched_tokens", None),
            ),
            version=version,
            is_emulated=is_emulated,
            is_told=bool(info),
            **info,
        )

    async def counters(self) -> Counters:
        """Counters now.

        Raises:
            ProfileError: they cannot be read.
        """
        where = f"{self.address.base}/metrics"
        status, body = await self._ask("GET", "/metrics", TIMEOUT_S)
        if status != 200:
            raise ProfileError(
                f"{where}: status {status}; profiling needs vLLM's counters: give the address of one engine"
            )
        return facts.counters(body.decode(errors="replace"), where)

    async def is_sleeping(self) -> bool | None:
        """Whether the engine sleeps; None where it has no /sleep."""
        status, body = await self._ask("GET", "/is_sleeping", TIMEOUT_S)
        return _object(body).get("is_sleeping") is True if status == 200 else None

    async def require_awake(self) -> None:
        """See that the engine does not sleep, as one does whose profile was killed while it measured that.

        Raises:
            ProfileError: it sleeps.
        """
        if await self.is_sleeping():
            raise ProfileError(
                f"{self.address.base} sleeps; wake it, for example by: curl -X POST {self.address.base}/wake_up"
            )

    async def change(self, path: str) -> None:
        """Ask for a change of state and wait for its end.

        Raises:
            ProfileError: it was refused.
        """
        status, body = await self._ask("POST", path, SLOW_TIMEOUT_S)
        if status != 200:
            raise ProfileError(
                f"{self.address.base}{path}: status {status} {body[:200].decode(errors='replace')!r}; leave out "
                "--sleep, or start the engine with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1"
            )

    async def _server_info(self) -> dict[str, Any]:
        """The first form that is understood: one holds the batch limit, the other is what older versions know."""
        for path in ("/server_info?config_format=json", "/server_info"):
            status, body = await self._ask("GET", path, SLOW_TIMEOUT_S)
            if status == 200 and (found := facts.server_info(body)):
                return found
        return {}

    async def _version(self) -> tuple[str | None, bool]:
        """Version, and whether the engine says that it is emulated."""
        status, body = await self._ask("GET", "/version", TIMEOUT_S)
        told = _object(body) if status == 200 else {}
        version = told.get("version")
        return (version[:80] if isinstance(version, str) else None), told.get("emulated") is True

    async def _ask(self, method: str, path: str, timeout_s: float) -> tuple[int, bytes]:
        url = f"{self.address.base}{path}"
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        headers = self.address.headers
        try:
            asked = self.session.request(method, url, headers=headers, timeout=timeout, allow_redirects=False)
            return await read(asked, url, timeout_s)
        except SignalError as error:
            if isinstance(error.__cause__, aiohttp.ClientConnectorCertificateError):
                remedy = "name the authorities that issued it with --ca-file"
            else:
                remedy = "is the engine up and awake, and is this its address?"
            raise ProfileError(f"{error}; {remedy}") from error


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; empty where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
