"""What one VTN lists of its programmes and events, and what of that is ours; all else is passed over.

A VTN may know no query, or move an event to another programme: each event says itself of which programme it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from controller.errors import MessageError, SignalError, VtnError
from controller.openadr.client import VtnClient
from controller.openadr.messages import Program, Version
from controller.openadr.messages_read import read_program
from controller.openadr.specs import VenSpec

log = logging.getLogger(__name__)


def is_of(content: Any, program: Program) -> bool:
    """Whether an event is of a programme, as far as it says so: one that does not is for its reader to refuse."""
    named = content.get("programID") if isinstance(content, dict) else None
    return not isinstance(named, str) or named == program.program_id


class Listings:
    """Asks one VTN for lists.

    Attributes:
        missing: what is wrong where it does not offer all programmes that are configured: no empty schedule of them.
    """

    def __init__(self, spec: VenSpec, client: VtnClient) -> None:
        self._spec = spec
        self._client = client
        self._has_others = False
        self.missing: SignalError | None = None

    async def programmes(self, version: Version) -> dict[str, Program]:
        """Those of the configured programmes that it offers, by its names; `missing` tells of the others.

        Raises:
            SignalError: it cannot be asked.
        """
        objects, failure = await self._all("/programs", version, ())
        if failure is not None:
            raise failure
        offered: dict[str, Program] = {}
        for content in objects:
            try:
                program = read_program(content)
            except MessageError as error:
                log.warning("programme refused", extra={"vtn": self._spec.name, "reason": str(error)})
                continue
            offered[program.name] = program
        absent, self.missing = sorted(set(self._spec.programmes) - set(offered)), None
        if absent:
            names = ", ".join(map(repr, sorted(offered)[:20])) or "none"
            reason = f"it does not offer programme {absent[0]!r}; it offers {names}"
            self.missing = SignalError(self._spec.url, reason)
        return {name: offered[name] for name in self._spec.programmes if name in offered}

    async def events(self, program: Program, version: Version) -> tuple[list[Any], SignalError | None]:
        """The events of a programme, and why they are not all; None for all."""
        listed, failure = await self._all("/events", version, (("programID", program.program_id),))
        found = [content for content in listed if is_of(content, program)]
        if len(found) < len(listed) and not self._has_others:
            self._has_others = True
            extra = {"vtn": self._spec.name, "programme": program.name, "count": len(listed) - len(found)}
            log.warning("the VTN lists events of other programmes than it was asked for: passed over", extra=extra)
        return found, failure

    async def see_known(self, programs: Mapping[str, Program]) -> None:
        """See that the VTN still knows programmes: one that came back empty knows no event, and has deleted none.

        Raises:
            SignalError: it does not know one, or cannot be asked.
        """
        for name, program in programs.items():
            try:
                await self._client.get(f"/programs/{program.program_id}")
            except VtnError as error:
                if error.status == 403:
                    continue
                if error.status != 404:
                    raise
                reason = f"it does not know programme {name!r} any more, so no event that it does not list is over"
                raise SignalError(self._spec.url, reason) from error

    async def _all(
        self, path: str, version: Version, params: tuple[tuple[str, str | int], ...]
    ) -> tuple[tuple[Any, ...], SignalError | None]:
        """All objects that are for all, and those for our targets: 3.1 hides what is targeted unless it is asked for.

        The query `active` is not used: by the User Guide only an event under way is active, and those to come are
        wanted too.
        """
        listing = await self._client.list_all(path, params)
        if version is Version.V3_0 or not self._spec.targets or listing.failure is not None:
            return listing.objects, listing.failure
        targets = tuple(("targets", target) for target in self._spec.targets)
        targeted = await self._client.list_all(path, (*params, *targets))
        return listing.objects + targeted.objects, targeted.failure
