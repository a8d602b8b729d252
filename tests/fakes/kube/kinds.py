"""The kinds of object that the fake API server knows, and how their paths are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Resource(NamedTuple):
    """A collection as a URL names it; the core group is the empty text."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def title(self) -> str:
        """As messages of the API server name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if namespace is not None else ""
        return root + inside + f"/{self.plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")


PODS = Resource("", "v1", "pods")
SERVICES = Resource("", "v1", "services")
CONFIG_MAPS = Resource("", "v1", "configmaps")
EVENTS = Resource("", "v1", "events")
DEPLOYMENTS = Resource("apps", "v1", "deployments")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets")
LEADER_WORKER_SETS = Resource("leaderworkerset.x-k8s.io", "v1", "leaderworkersets")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers")
SCALED_OBJECTS = Resource("keda.sh", "v1alpha1", "scaledobjects")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices")


@dataclass(frozen=True)
class Kind:
    """How objects of one collection behave.

    Attributes:
        scales: it has a subresource scale.
        custom: defined by a CRD: no strategic merge patch, and items of lists say their kind.
        needs_version: an update has to say which version it replaces.
    """

    name: str
    scales: bool = False
    custom: bool = False
    needs_version: bool = False


KINDS: dict[Resource, Kind] = {
    PODS: Kind("Pod"),
    SERVICES: Kind("Service"),
    CONFIG_MAPS: Kind("ConfigMap"),
    EVENTS: Kind("Event"),
    DEPLOYMENTS: Kind("Deployment", scales=True),
    STATEFUL_SETS: Kind("StatefulSet", scales=True),
    LEADER_WORKER_SETS: Kind("LeaderWorkerSet", scales=True, custom=True, needs_version=True),
    LEASES: Kind("Lease", needs_version=True),
    AUTOSCALERS: Kind("HorizontalPodAutoscaler"),
    SCALED_OBJECTS: Kind("ScaledObject", custom=True, needs_version=True),
    ENDPOINT_SLICES: Kind("EndpointSlice"),
}


def label_selector_of(resource: Resource, found: dict[str, Any]) -> str:
    """Selector of the pods of a scaled object, as its Scale tells it."""
    if resource == LEADER_WORKER_SETS:
        selector: str = found.get("status", {}).get("hpaPodSelector", "")
        return selector
    labels = found.get("spec", {}).get("selector", {}).get("matchLabels", {})
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels))
