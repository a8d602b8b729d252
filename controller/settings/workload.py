"""The settings `plan.pools.NAME.workload`: what runs a pool's pods, and whether this controller writes its replicas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.settings.election import Label
from router.settings import Group


class WorkloadSettings(Group):
    """What runs the pods of a pool that is discovered."""

    kind: Literal["Deployment", "StatefulSet", "LeaderWorkerSet"]
    """Of the last two the pod with the highest number goes first, whatever it serves."""
    name: Label
    """Its name."""
    namespace: Label | None = None
    """Where it is. Absent: where the pool is discovered, and else the namespace of the controller's own pod."""
    mode: Literal["recommend", "act"] = "recommend"
    """act: the controller writes its replicas, where controller.mode and the pool's own are act. recommend: it tells by
    the metric desired_replicas how many pods there are to be, up to `most`, for an autoscaler; where the pool's engines
    cannot sleep, or plan.may_stop, it drains pods that are not needed, and tells fewer once they are the ones that
    go."""
    most: Annotated[int, Field(ge=1, le=512)]
    """Most pods that there may be."""
