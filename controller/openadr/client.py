"""A client of one VTN: pages of objects and single ones, with tokens, bounds and errors in the VTN's own words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from controller.clock import Clock
from controller.errors import MessageError, SignalError, VtnError
from controller.openadr.answers_read import read_problem
from controller.openadr.auth import Credentials, TokenDesk
from controller.openadr.fields import decode, entries
from controller.openadr.http import Answer, Params, Request, VtnHttp
from controller.openadr.messages import MAX_PAGE, Token, Version

MAX_PAGES = 100
"""Pages of one listing; a VTN with more objects than these hold is told of."""
MAX_ENTRIES = 1000
"""Objects of one page, of a VTN that does not keep to `MAX_PAGE`."""
_REFUSED = frozenset((401, 403))
_VERSION_IN_PATH = re.compile(r"/(3\.[01])(\.\d+)?(/|$)")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a VTN listed.

    Attributes:
        objects: decoded, in its order, as often as it sent them.
        failure: why it is not all; None for all.
    """

    objects: tuple[Any, ...]
    failure: SignalError | None = None


class VtnClient:
    """Asks one VTN.

    Attributes:
        skew_s: the VTN's clock less ours at its last answer; None before, or where it tells none.
    """

    def __init__(
        self,
        http: VtnHttp,
        url: str,
        clock: Clock,
        *,
        credentials: Credentials | None = None,
        version: Version | None = None,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._clock = clock
        self._tokens = TokenDesk(http, self._url, credentials, clock)
        in_path = _VERSION_IN_PATH.search(self._url)
        self._version = version or (None if in_path is None else Version(f"{in_path[1]}.{_PATCH[in_path[1]]}"))
        self.skew_s: float | None = None

    async def version(self) -> Version:
        """Which version is spoken: as configured, as the address says, or as the VTN behaves.

        Raises:
            SignalError: it cannot be told.
        """
        return self._version or await self._tokens.version()

    def doubt_version(self) -> None:
        """Look again at the next question how the VTN behaves, where 3.0.1 was concluded from what it does not know."""
        self._tokens.doubt_version()

    async def token(self) -> Token | None:
        """A token that is good for a while yet, for what else the VTN protects by it; None of a public VTN.

        Raises:
            SignalError: none can be had.
        """
        return await self._tokens.token()

    async def list_all(self, path: str, params: Params = ()) -> Listing:
        """All objects of a kind, page by page; what was read before a page failed comes with the failure."""
        found: list[Any] = []
        seen: set[str] = set()
        fixed = tuple(params.items()) if hasattr(params, "items") else tuple(params)
        for page in range(MAX_PAGES):
            try:
                objects = await self._page(path, (*fixed, ("skip", page * MAX_PAGE), ("limit", MAX_PAGE)))
            except SignalError as error:
                return Listing(tuple(found), error)
            fresh = {str(entry.get("id")) for entry in objects if isinstance(entry, dict)} - seen
            seen |= fresh
            if page and not fresh:  # the server knows no `skip`: it began again
                return Listing(tuple(found))
            found += objects
            if len(objects) != MAX_PAGE:
                return Listing(tuple(found))
        reason = f"more than {MAX_PAGES * MAX_PAGE} objects; ask the VTN's operator to clear old ones"
        return Listing(tuple(found), SignalError(f"{self._url}{path}", reason))

    async def get(self, path: str, params: Params = ()) -> Any:
        """One object, decoded.

        Raises:
            VtnError: the VTN refuses; 404 says that there is none.
            SignalError: it cannot be reached, or its answer is not JSON.
        """
        return self._decoded(await self._send("GET", path, params), path)

    async def post(self, path: str, content: Any) -> Any:
        """Make an object; returns it as the VTN keeps it.

        Raises:
            VtnError: the VTN refuses; 409 says that there is one already.
            SignalError: as for `get`.
        """
        return self._decoded(await self._send("POST", path, content=content), path)

    async def put(self, path: str, content: Any) -> Any:
        """Change an object; returns it as the VTN keeps it.

        Raises:
            VtnError: the VTN refuses.
            SignalError: as for `get`.
        """
        return self._decoded(await self._send("PUT", path, content=content), path)

    async def delete(self, path: str) -> None:
        """Delete an object.

        Raises:
            VtnError: the VTN refuses.
            SignalError: it cannot be reached.
        """
        await self._send("DELETE", path)

    async def _page(self, path: str, params: Params) -> list[Any]:
        return entries(await self.get(path, params), f"{self._url}{path}", MAX_ENTRIES)

    async def _send(self, method: str, path: str, params: Params = (), content: Any = None) -> Answer:
        url = f"{self._url}{path}"
        for _ in range(2):
            token = await self._tokens.token()
            headers = {"Accept": "application/json"}
            if token is not None:
                headers["Authorization"] = f"Bearer {token.access_token}"
            answer = await self._http.send(Request(method, url, params, headers, content))
            if answer.date_s is not None:
                self.skew_s = answer.date_s - self._clock.wall_s()
            if answer.status not in _REFUSED or token is None or not self._tokens.may_renew(token):
                break
        if answer.status not in (200, 201, 204):
            reason = f"{method}: status {answer.status}: {read_problem(answer.body)}{_remedy(answer.status)}"
            raise VtnError(url, reason, answer.status, answer.retry_after_s)
        return answer

    def _decoded(self, answer: Answer, path: str) -> Any:
        try:
            return decode(answer.body, f"{self._url}{path}")
        except MessageError as error:
            raise SignalError(error.source, f"status {answer.status}, but {error.reason}") from error


_PATCH = {"3.0": "1", "3.1": "0"}


def _remedy(status: int) -> str:
    if status == 401:
        return "; check client_id and its secret"
    return "; the VTN's operator must grant this client the role and scopes of a VEN" if status == 403 else ""
