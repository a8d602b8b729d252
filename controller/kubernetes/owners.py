"""Who else writes the replicas of a workload, so that this controller must not. Pure.

Two writers of one number undo each other: a HorizontalPodAutoscaler puts back within seconds what others wrote, a tool
that applies a manifest does so at its next run. Whoever is found is named, with what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PAUSED = "autoscaling.keda.sh/paused"
"""Annotation by which KEDA leaves a workload alone."""
HELD = "autoscaling.keda.sh/paused-replicas"
"""Annotation by which KEDA keeps a workload at so many replicas, paused or not."""
_APPLY = "Apply"


@dataclass(frozen=True, slots=True)
class Workload:
    """What has replicas.

    Attributes:
        kind: ``Deployment``, ``StatefulSet`` or ``LeaderWorkerSet``.
        namespace: None for that of the controller's own pod.
    """

    kind: str
    name: str
    namespace: str | None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.namespace is None else f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Scaled:
    """A pool's workload, and how far its replicas may go."""

    workload: Workload
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """One that scales a workload of its namespace.

    Attributes:
        kind: ``HorizontalPodAutoscaler`` or ``ScaledObject``.
        target: kind and name of what it scales.
        is_paused: it leaves that alone for now.
    """

    kind: str
    name: str
    target: tuple[str, str]
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaWriter:
    """One that the API server has down as owner of ``.spec.replicas``.

    Attributes:
        applies: whether it states what it wants again and again, rather than having written it once.
    """

    manager: str
    applies: bool


def autoscaler_of(found: Mapping[str, Any]) -> Autoscaler:
    """What is needed of a HorizontalPodAutoscaler or a ScaledObject.

    Raises:
        ValueError: it is neither.
    """
    try:
        target = found["spec"]["scaleTargetRef"]
        # KEDA takes a Deployment where no kind is told.
        scales = (str(target.get("kind") or "Deployment"), str(target["name"]))
        annotations = found["metadata"].get("annotations") or {}
        is_paused = str(annotations.get(PAUSED)).lower() == "true" and HELD not in annotations
        return Autoscaler(str(found["kind"]), str(found["metadata"]["name"]), scales, is_paused)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no autoscaler: {type(error).__name__}: {error}") from error


def replica_writers(managed_fields: Sequence[Mapping[str, Any]]) -> tuple[ReplicaWriter, ...]:
    """Owners of ``.spec.replicas`` by an object's ``metadata.managedFields``; what is malformed owns nothing."""
    found = []
    for entry in managed_fields:
        fields = entry.get("fieldsV1")
        spec = fields.get("f:spec") if isinstance(fields, Mapping) else None
        if isinstance(spec, Mapping) and "f:replicas" in spec:
            found.append(ReplicaWriter(str(entry.get("manager", "")), entry.get("operation") == _APPLY))
    return tuple(found)


def refusal(
    workload: Workload,
    autoscalers: Sequence[Autoscaler],
    writers: Sequence[ReplicaWriter],
    *,
    manager: str,
    was_ours: bool,
) -> str | None:
    """Why the replicas of a workload must not be written; None where they may be.

    Who wrote them once, as whoever made the workload did, gives way to the one that is configured to act; who applies
    them would put them back, and who writes them after this controller did has taken them over.

    Args:
        workload: whose replicas.
        autoscalers: of its namespace.
        writers: owners of its replicas.
        manager: of this controller.
        was_ours: whether this controller had them at the last look.
    """
    for each in autoscalers:
        if each.target == (workload.kind, workload.name) and not each.is_paused:
            remedy = f"delete it or pause it by {PAUSED} alone" if each.kind == "ScaledObject" else "delete it"
            return (
                f"{each.kind} {each.name} scales {workload}; {remedy}, or let it read "
                "wattroute_controller_desired_replicas and write mode: recommend"
            )
    others = [each for each in writers if each.manager != manager]
    for writer in others:
        if writer.applies:
            return (
                f"{writer.manager!r} applies the replicas of {workload}; leave replicas out of the manifest it "
                "applies, or write mode: recommend"
            )
    if others and was_ours and not any(each.manager == manager for each in writers):
        return f"{others[0].manager!r} has taken over the replicas of {workload}; end it, or write mode: recommend"
    return None
