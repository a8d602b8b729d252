"""What a list and a watch of the Kubernetes API add up to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from router.errors import DiscoveryError

GONE = 410
MAX_OBJECTS = 2048
"""Most objects kept: each EndpointSlice holds up to 1000 endpoints, 100 by default."""

T = TypeVar("T")


class WatchCache(Generic[T]):
    """The objects as of a version.

    Args:
        source: for messages.
        read: what to keep of an object; raises ValueError.

    Attributes:
        objects: by name.
        version: from which a watch goes on; None before a list, and after a version that is too old.
    """

    def __init__(self, source: str, read: Callable[[Mapping[str, Any]], T]) -> None:
        self._source = source
        self._read = read
        self.objects: dict[str, T] = {}
        self.version: str | None = None

    def replace(self, objects: Iterable[Mapping[str, Any]], version: str) -> None:
        """Take a whole list: what it does not name is gone.

        Raises:
            DiscoveryError: there are too many, or one cannot be read; everything stays as it was.
        """
        found: dict[str, T] = {}
        for item in objects:
            found[self._name(item)] = self._kept(item)
            self._bound(len(found))
        self.objects, self.version = found, version

    def apply(self, event: Mapping[str, Any]) -> bool:
        """Take one event of a watch; True if the objects changed.

        Raises:
            DiscoveryError: the event is an error, which ends the watch: with status 410 the objects are to be listed
                anew, and `version` is None. Or it cannot be read.
        """
        kind, found = event.get("type"), event.get("object")
        if not isinstance(found, Mapping):
            raise DiscoveryError(self._source, f"an event without object: {event!s:.200}")
        if kind == "ERROR":
            self._end(found)
        version = self._metadata(found).get("resourceVersion")
        changed = kind != "BOOKMARK"
        if kind == "DELETED":
            changed = self.objects.pop(self._name(found), None) is not None
        elif kind in ("ADDED", "MODIFIED"):
            name = self._name(found)
            self._bound(len(self.objects) + (name not in self.objects))
            self.objects[name] = self._kept(found)
        elif changed:
            raise DiscoveryError(self._source, f"an event of unknown type {kind!r:.40}")
        self.version = str(version) if version else self.version
        return changed

    def _end(self, status: Mapping[str, Any]) -> None:
        code = status.get("code")
        if code == GONE:
            self.version = None
        raise DiscoveryError(self._source, f"the watch ended: {status.get('message')!s:.200}", status=code)

    def _kept(self, item: Mapping[str, Any]) -> T:
        try:
            return self._read(item)
        except ValueError as error:
            raise DiscoveryError(self._source, f"cannot be read: {error}") from error

    def _metadata(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        metadata = item.get("metadata") if isinstance(item, Mapping) else None
        if not isinstance(metadata, Mapping):
            raise DiscoveryError(self._source, f"cannot be read: an object without metadata: {item!s:.200}")
        return metadata

    def _name(self, item: Mapping[str, Any]) -> str:
        return str(self._metadata(item).get("name"))

    def _bound(self, count: int) -> None:
        if count > MAX_OBJECTS:
            raise DiscoveryError(self._source, f"more than {MAX_OBJECTS} objects; narrow the selector")
