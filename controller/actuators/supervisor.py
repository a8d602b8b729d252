"""Start and stop of instances through a supervisor's control address: `wattroute supervise`, or the emulator."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote

import aiohttp

from controller.errors import ActuationError
from controller.http.bounded_body import read_body
from controller.model.plan import InstanceCommand, Verb

_MAX_ANSWER_BYTES = 1 << 16


class SupervisorDriver:
    """Asks the supervisor; it returns at once and the instance's state tells the rest."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        timeout_s: float = 5.0,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._headers = headers or {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    @property
    def verbs(self) -> Collection[Verb]:
        """Start and stop."""
        return (Verb.START, Verb.STOP)

    async def carry_out(self, command: InstanceCommand) -> str:
        """Pass the command on.

        Raises:
            ActuationError: the supervisor does not answer or refuses.
        """
        if command.verb not in self.verbs:
            raise ActuationError(command.instance_id, f"a supervisor cannot be told to {command.verb.value}")
        url = f"{self._url}/instances/{quote(command.instance_id, safe='')}/{command.verb.value}"
        try:
            async with self._session.post(url, timeout=self._timeout, headers=self._headers) as response:
                answer = await read_body(
                    response,
                    _MAX_ANSWER_BYTES,
                    lambda reason: ActuationError(command.instance_id, f"{url}: {reason}"),
                )
                status = response.status
        except TimeoutError as error:
            raise ActuationError(command.instance_id, f"{url}: no answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ActuationError(command.instance_id, f"{url}: {type(error).__name__}: {error}") from error
        if not 200 <= status < 300:
            text = answer[:200].decode(errors="replace")
            raise ActuationError(command.instance_id, f"{url}: status {status}: {text}")
        return f"{command.verb.value} accepted by the supervisor"
