"""The objects that a fake VTN keeps."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.vtn.tables import OBJECT_TYPE, UNIQUE_NAME

Json = dict[str, Any]
Watcher = Callable[[str, str, Json], None]


class Conflict(Exception):
    """There is one of that name, or others hang on it."""


class Store:
    """Objects by kind and id, in the order of their creation; each change is told to watchers."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.kinds: dict[str, dict[str, Json]] = {kind: {} for kind in OBJECT_TYPE}
        self.watchers: list[Watcher] = []
        self._numbers = itertools.count()
        self._moments = itertools.count()

    def create(self, kind: str, content: Json, **given: Any) -> Json:
        name = UNIQUE_NAME.get(kind)
        scope = {"venID"} if kind == "resources" else set()
        for other in self.kinds[kind].values():
            if name and all(other.get(key) == {**content, **given}.get(key) for key in {name, *scope}):
                raise Conflict(f"there is one with {name} {content[name]!r}")
        stamp = self._stamp()
        made = {**copy.deepcopy(content), **given}
        made |= {"id": f"{kind[:-1]}-{next(self._numbers)}", "createdDateTime": stamp, "modificationDateTime": stamp}
        made["objectType"] = OBJECT_TYPE[kind]
        self.kinds[kind][made["id"]] = made
        self._tell(kind, "CREATE", made)
        return made

    def update(self, kind: str, object_id: str, content: Json) -> Json:
        kept = self.kinds[kind][object_id]
        stamps = {key: kept[key] for key in ("id", "createdDateTime", "clientID", "venID") if key in kept}
        changed = {**copy.deepcopy(content), **stamps, "modificationDateTime": self._stamp()}
        changed["objectType"] = OBJECT_TYPE[kind]
        self.kinds[kind][object_id] = changed
        self._tell(kind, "UPDATE", changed)
        return changed

    def delete(self, kind: str, object_id: str) -> Json:
        if kind == "events" and any(report["eventID"] == object_id for report in self.kinds["reports"].values()):
            raise Conflict("the event has reports")
        gone = self.kinds[kind].pop(object_id)
        self._tell(kind, "DELETE", gone)
        return gone

    def _stamp(self) -> str:
        """Later at each call, however fast they come."""
        moment = datetime.now(UTC) + timedelta(milliseconds=next(self._moments))
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _tell(self, kind: str, operation: str, content: Json) -> None:
        for watcher in self.watchers:
            watcher(kind, operation, copy.deepcopy(content))


def is_for(version: str, targets: list[Any] | None, asked: set[str]) -> bool:
    """Whether an object with these targets is meant for who asks for those."""
    if not targets:
        return True
    if version == "3.1.0":
        return bool(set(targets) & asked)
    return any(value in asked for target in targets for value in target["values"])
