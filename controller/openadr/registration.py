"""Makes a VEN and its resources known to its VTN, where they are not yet.

Targets are the VTN's to grant and are never written. What exists is found by its name and left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from controller.errors import MessageError, SignalError, VtnError
from controller.openadr.client import VtnClient
from controller.openadr.messages import Resource, Ven, Version
from controller.openadr.messages_write import write_resource_request, write_ven_request
from controller.openadr.registration_read import read_resource, read_ven
from controller.openadr.specs import VenSpec

log = logging.getLogger(__name__)
Read = TypeVar("Read")


class Registrar:
    """Registers once; what fails is tried again at the next poll.

    Attributes:
        ven: as the VTN keeps it; None before it is registered.
        resources: as the VTN keeps them, by name.
        failure: why registration did not succeed; None where it did, or is not wanted.
    """

    def __init__(self, spec: VenSpec, client: VtnClient) -> None:
        self._spec = spec
        self._client = client
        self.ven: Ven | None = None
        self.resources: dict[str, Resource] = {}
        self.failure: str | None = None

    async def register(self, version: Version) -> None:
        """Find or make the VEN and its resources; a VTN that refuses is told of, and followed all the same."""
        name = self._spec.ven_name
        if name is None or (self.ven is not None and set(self.resources) >= set(self._spec.resources)):
            return
        try:
            if self.ven is None:
                self.ven = await self._found_ven(name, version) or await self._made_ven(name, version)
            for resource in self._spec.resources:
                if resource not in self.resources:
                    self.resources[resource] = await self._resource(resource, self.ven, version)
        except SignalError as error:
            if str(error) != self.failure:
                log.warning("VEN is not registered", extra={"vtn": self._spec.name, "reason": str(error)})
            self.failure = str(error)
            return
        self.failure = None
        log.info("VEN is registered", extra={"vtn": self._spec.name, "ven_id": self.ven.ven_id, "ven_name": name})

    async def _found_ven(self, name: str, version: Version) -> Ven | None:
        for content in await self._named("/vens", (("venName", name),)):
            ven = _read(read_ven, content)
            if ven is not None and ven.name == name:
                return ven
        return None

    async def _made_ven(self, name: str, version: Version) -> Ven:
        try:
            return read_ven(await self._client.post("/vens", write_ven_request(name, {}, version)))
        except VtnError as error:
            found = await self._found_ven(name, version) if error.status == 409 else None
            if found is None:
                raise
            return found

    async def _resource(self, name: str, ven: Ven, version: Version) -> Resource:
        path = "/resources" if version is Version.V3_1 else f"/vens/{ven.ven_id}/resources"
        mine = (("venID", ven.ven_id),) if version is Version.V3_1 else ()
        for content in await self._named(path, (("resourceName", name), *mine)):
            resource = _read(read_resource, content)
            if resource is not None and resource.name == name and resource.ven_id == ven.ven_id:
                return resource
        return read_resource(await self._client.post(path, write_resource_request(name, ven.ven_id, {}, version)))

    async def _named(self, path: str, params: tuple[tuple[str, str], ...]) -> tuple[Any, ...]:
        listing = await self._client.list_all(path, params)
        if listing.failure is not None:
            raise listing.failure
        return listing.objects


def _read(reader: Callable[[Any], Read], content: Any) -> Read | None:
    """What an entry reads as; None of one that is malformed, which is somebody else's."""
    try:
        return reader(content)
    except MessageError as error:
        log.info("entry passed over", extra={"reason": str(error)})
        return None
