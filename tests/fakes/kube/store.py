"""The objects of the fake API server, their versions, and every change since the history was last cut."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.kube.kinds import Kind, Resource
from tests.fakes.kube.managers import Writer, managed_after
from tests.fakes.kube.refusals import Refusal

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""
_OF_THE_SERVER = ("uid", "creationTimestamp", "resourceVersion", "generation", "managedFields", "namespace", "name")


def now_text() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Change:
    """One change; `old` is None for an object that is new, `new` for one that went."""

    version: int
    resource: Resource
    old: Object | None
    new: Object | None


@dataclass
class Store:
    """Every object by collection.

    Attributes:
        version: of the last change; versions are shared by all collections.
        oldest: a watch from a version before this one cannot be served.
        changed: one event for each watch that waits.
    """

    kinds: dict[Resource, Kind]
    version: int = 1000
    oldest: int = 1000
    objects: dict[Resource, dict[Key, Object]] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    changed: set[asyncio.Event] = field(default_factory=set)

    def kind(self, resource: Resource) -> Kind:
        kind = self.kinds.get(resource)
        if kind is None:
            raise Refusal(404, "the server could not find the requested resource")
        return kind

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.objects.get(resource, {}).get((namespace, name))
        if found is None:
            raise Refusal(404, f'{resource.title} "{name}" not found')
        return copy.deepcopy(found)

    def list(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        """By namespace and name, which is also the order of etcd's keys."""
        everything = sorted(self.objects.get(resource, {}).items())
        return [copy.deepcopy(found) for key, found in everything if namespace is None or key[0] == namespace]

    def create(self, resource: Resource, namespace: str, body: Object, writer: Writer | None = None) -> Object:
        kind, new = self.kind(resource), copy.deepcopy(body)
        metadata = new.setdefault("metadata", {})
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        name = metadata.get("name")
        if not name:
            raise Refusal(422, f'{kind.name}.{resource.group} "" is invalid: metadata.name: Required value')
        if metadata.get("namespace", namespace) != namespace:
            raise Refusal(400, "the namespace of the provided object does not match the namespace sent on the request")
        if (namespace, name) in self.objects.get(resource, {}):
            raise Refusal(409, f'{resource.title} "{name}" already exists', "AlreadyExists")
        if metadata.get("resourceVersion"):
            raise Refusal(400, "resourceVersion should not be set on objects to be created")
        metadata |= {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now_text(), "generation": 1}
        if kind.scales:
            new.setdefault("spec", {}).setdefault("replicas", 1)
        return self._put(resource, None, new, writer or Writer("fake"))

    def replace(self, resource: Resource, namespace: str, body: Object, writer: Writer | None = None) -> Object:
        """As PUT does: what the server keeps in the metadata stays, and status only changes by its subresource."""
        kind, new = self.kind(resource), copy.deepcopy(body)
        metadata = new.setdefault("metadata", {})
        old = self.get(resource, namespace, metadata.get("name", ""))
        version = metadata.get("resourceVersion")
        if not version and kind.needs_version:
            raise Refusal(422, "metadata.resourceVersion: Invalid value: 0: must be specified for an update")
        self.check_version(resource, old, version)
        new["metadata"] = metadata | {key: old["metadata"][key] for key in _OF_THE_SERVER if key in old["metadata"]}
        return self._put(resource, old, new, writer or Writer("fake"))

    def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        how: Callable[[Object], Object],
        writer: Writer | None = None,
    ) -> Object:
        """Apply `how` to a copy of the object; a version that the result tells has to be the present one."""
        old = self.get(resource, namespace, name)
        new = how(copy.deepcopy(old))
        self.check_version(resource, old, new.get("metadata", {}).get("resourceVersion"))
        return self._put(resource, old, new, writer or Writer("fake"))

    def delete(self, resource: Resource, namespace: str, name: str, *, version: str | None = None) -> Object:
        old = self.get(resource, namespace, name)
        self.check_version(resource, old, version)
        del self.objects[resource][namespace, name]
        self.version += 1
        gone = copy.deepcopy(old)
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._note(Change(self.version, resource, old, None))
        return gone

    def check_version(self, resource: Resource, old: Object, version: str | None) -> None:
        if version and version != old["metadata"]["resourceVersion"]:
            name = old["metadata"]["name"]
            reason = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refusal(409, f'Operation cannot be fulfilled on {resource.title} "{name}": {reason}')

    def compact(self) -> None:
        """Forget the history: a watch from any version before this one is then too old."""
        self.version += 1
        self.oldest = self.version
        self.history.clear()

    def _put(self, resource: Resource, old: Object | None, new: Object, writer: Writer) -> Object:
        new["apiVersion"], new["kind"] = resource.api_version, self.kind(resource).name
        if old is not None and _content(old) == _content(new):
            return old
        metadata = new["metadata"]
        metadata["managedFields"] = managed_after(old, new, writer, api_version=resource.api_version, now=now_text())
        if old is not None and old.get("spec") != new.get("spec"):
            metadata["generation"] = metadata.get("generation", 1) + 1
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        self.objects.setdefault(resource, {})[metadata["namespace"], metadata["name"]] = new
        self._note(Change(self.version, resource, old, copy.deepcopy(new)))
        return copy.deepcopy(new)

    def _note(self, change: Change) -> None:
        self.history.append(change)
        for event in self.changed:
            event.set()


def _content(found: Object) -> Object:
    """What a writer can change: an update that leaves it as it is makes no new version."""
    metadata = {k: v for k, v in found["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**found, "metadata": metadata}
