"""What the supervisor of the engines' processes says of them, and whether it says anything at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from controller.errors import SignalError
from controller.signals.http_client import get

_MOST_FAULTS = 5
_MOST_CHARACTERS = 300
NO_FAULTS: tuple[str, ...] = ()


class SupervisorSource:
    """Asks `GET /instances`.

    Attributes:
        faults: why it could not be asked, or what of its engines does not run, by the last answer.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, timeout_s: float = 1.5, headers: Mapping[str, str] | None = None
    ) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/instances"
        self._timeout_s = timeout_s
        self._headers = headers or {}
        self.faults = NO_FAULTS

    async def read(self) -> dict[str, str]:
        """State of each instance by its name; empty where the supervisor cannot be asked."""
        try:
            entries = await self._ask()
        except SignalError as error:
            self.faults = (f"{error}; nothing starts or stops engines",)
            return {}
        told = [(str(entry["instance_id"]), entry["fault"]) for entry in entries if entry.get("fault")]
        self.faults = tuple(f"{name}: {fault}"[:_MOST_CHARACTERS] for name, fault in told[:_MOST_FAULTS])
        return {str(entry["instance_id"]): str(entry["state"]).lower() for entry in entries}

    async def _ask(self) -> list[dict[str, Any]]:
        """Entries with a name and a state.

        Raises:
            SignalError: it does not answer as a supervisor does.
        """
        status, body = await get(self._session, self._url, self._timeout_s, self._headers)
        if status in (401, 403):
            raise SignalError(self._url, f"status {status}: set controller.supervisor_token_file to its token")
        if status != 200:
            raise SignalError(self._url, f"status {status}")
        try:
            listed = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise SignalError(self._url, "not JSON") from error
        if not isinstance(listed, list):
            raise SignalError(self._url, "no list of instances; is this a supervisor?")
        return [entry for entry in listed if isinstance(entry, dict) and {"instance_id", "state"} <= entry.keys()]
