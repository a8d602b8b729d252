"""What each verb does to the objects: everything of the API but HTTP itself and watches."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.kube.kinds import Resource, label_selector_of
from tests.fakes.kube.managers import Writer
from tests.fakes.kube.patches import merge_patch, strategic_patch
from tests.fakes.kube.refusals import Refusal
from tests.fakes.kube.selecting import selector
from tests.fakes.kube.store import Object, Store

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Target:
    """What a path names: a collection where `name` is empty."""

    resource: Resource
    namespace: str | None
    name: str = ""
    sub: str = ""


@dataclass
class Verbs:
    """The verbs on one store.

    Attributes:
        follows_scale: what runs is what was asked for, at once; else a test sets status.replicas.
    """

    store: Store
    follows_scale: bool = True
    _pages: dict[str, tuple[int, list[Object]]] = field(default_factory=dict)

    def list(self, target: Target, query: Mapping[str, str]) -> Object:
        kind = self.store.kind(target.resource)
        if token := query.get("continue"):
            version, found = self._pages.pop(token, (0, []))
            if version < self.store.oldest:
                raise Refusal(410, "The provided continue parameter is too old to display a consistent list result.")
        else:
            version, matches = self.store.version, selector(query)
            found = [item for item in self.store.list(target.resource, target.namespace) if matches(item)]
        size = int(query.get("limit") or 0) or len(found)
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if found[size:]:
            metadata |= {"continue": uuid.uuid4().hex, "remainingItemCount": len(found) - size}
            self._pages[metadata["continue"]] = (version, found[size:])
        items = found[:size] if kind.custom else [_without_kind(item) for item in found[:size]]
        return {
            "kind": f"{kind.name}List",
            "apiVersion": target.resource.api_version,
            "metadata": metadata,
            "items": items,
        }

    def get(self, target: Target) -> Object:
        self.store.kind(target.resource)
        found = self.store.get(target.resource, target.namespace or "", target.name)
        return self._scale_of(target.resource, found) if target.sub == "scale" else found

    def create(self, target: Target, body: Object, manager: str) -> Object:
        if target.namespace is None:
            raise Refusal(405, "the server does not allow this method on the requested resource")
        made = self.store.create(target.resource, target.namespace, body, Writer(manager))
        return self._follow(target.resource, made)

    def replace(self, target: Target, body: Object, manager: str) -> Object:
        name = body.get("metadata", {}).get("name")
        if name != target.name:
            raise Refusal(400, f"the name of the object ({name}) does not match the name on the URL ({target.name})")
        if target.sub:
            return self._change(target, lambda _: body, manager)
        made = self.store.replace(target.resource, target.namespace or "", body, Writer(manager))
        return self._follow(target.resource, made)

    def patch(self, target: Target, body: Object, content_type: str, manager: str) -> Object:
        kind = self.store.kind(target.resource)
        accepted = (MERGE,) if kind.custom and not target.sub else (MERGE, STRATEGIC)
        if content_type not in accepted:
            raise Refusal(415, f"the body of the request was in an unknown format - accepted media types: {accepted}")
        apply = merge_patch if content_type == MERGE else strategic_patch
        return self._change(target, lambda old: apply(old, body), manager)

    def delete(self, target: Target, options: Object) -> Object:
        self.store.kind(target.resource)
        version = (options.get("preconditions") or {}).get("resourceVersion")
        gone = self.store.delete(target.resource, target.namespace or "", target.name, version=version)
        details = {"name": target.name, "kind": target.resource.plural, "uid": gone["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _change(self, target: Target, how: Any, manager: str) -> Object:
        writer, namespace = Writer(manager, target.sub), target.namespace or ""
        if target.sub == "scale":

            def write(found: Object) -> Object:
                asked = how(self._scale_of(target.resource, found))
                return _scaled(found, asked)
        elif target.sub == "status":

            def write(found: Object) -> Object:
                asked = how(found)
                version = asked.get("metadata", {}).get("resourceVersion")
                return {**_with_version(found, version), "status": asked.get("status", {})}
        else:

            def write(found: Object) -> Object:
                return {**how(found), "status": found["status"]} if "status" in found else how(found)

        made = self.store.change(target.resource, namespace, target.name, write, writer)
        made = self._follow(target.resource, made)
        return self._scale_of(target.resource, made) if target.sub == "scale" else made

    def _follow(self, resource: Resource, made: Object) -> Object:
        if not self.follows_scale or not self.store.kind(resource).scales:
            return made
        count = made["spec"].get("replicas", 1)
        status = made.get("status", {}) | {"replicas": count, "readyReplicas": count}
        namespace, name = made["metadata"]["namespace"], made["metadata"]["name"]
        writer = Writer("kube-controller-manager", "status")
        return self.store.change(resource, namespace, name, lambda found: {**found, "status": status}, writer)

    def _scale_of(self, resource: Resource, found: Object) -> Object:
        if not self.store.kind(resource).scales:
            raise Refusal(404, "the server could not find the requested resource")
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        asked, status = (
            found.get("spec", {}).get("replicas", 1),
            {"replicas": found.get("status", {}).get("replicas", 0)},
        )
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: found["metadata"][key] for key in kept},
            # As Go writes it: a count of zero is left out.
            "spec": {"replicas": asked} if asked else {},
            "status": status | {"selector": label_selector_of(resource, found)},
        }


def _scaled(found: Object, asked: Object) -> Object:
    count = (asked.get("spec") or {}).get("replicas", 0)
    if not isinstance(count, int) or isinstance(count, bool):
        raise Refusal(400, f"Scale in version v1 cannot be handled as a Scale: spec.replicas: {count!r}")
    if count < 0:
        raise Refusal(422, f"spec.replicas: Invalid value: {count}: must be greater than or equal to 0")
    version = asked.get("metadata", {}).get("resourceVersion")
    return {**_with_version(found, version), "spec": found["spec"] | {"replicas": count}}


def _with_version(found: Object, version: str | None) -> Object:
    return {**found, "metadata": found["metadata"] | ({"resourceVersion": version} if version else {})}


def _without_kind(item: Object) -> Object:
    return {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
