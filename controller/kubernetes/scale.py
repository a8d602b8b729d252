"""Instances that are pods, started and stopped by the replicas of their workload: through the scale subresource alone.

A start is for a place, whose number says how many there are to be with it, so that a start told twice makes one pod. A
stop is for one drained pod: of a Deployment it is marked to go first, of the others only the last can go; and it is one
after the other, as a pod that a former controller took off and that is still there must not be counted twice. Who else
writes the replicas is looked for before each write, and is left to it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from lightkube import AsyncClient
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment, DeploymentScale, StatefulSet, StatefulSetScale
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import Pod

from controller.errors import ActuationError, KubernetesError
from controller.kubernetes.client import FIELD_MANAGER, asked
from controller.kubernetes.owners import Autoscaler, Scaled, Workload, autoscaler_of, refusal, replica_writers
from controller.lifecycle.roster import place_of
from controller.model.fleet import Site
from controller.model.plan import InstanceCommand, Verb
from controller.ports import InstanceDriver
from router.contract import InstanceId, PoolId

GOES_FIRST = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation by which a Deployment chooses: the least goes first."""
COST = "-1000"
TRIES = 3
LOOKS = 5
_ABSENT, _CONFLICT = 404, 409
_LWS: Any = create_namespaced_resource("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets")
_SCALED_OBJECT: Any = create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
_RESOURCES: Mapping[str, tuple[Any, Any]] = {
    "Deployment": (Deployment, DeploymentScale),
    "StatefulSet": (StatefulSet, StatefulSetScale),
    "LeaderWorkerSet": (_LWS, _LWS.Scale),
}


def placed(pools: Mapping[PoolId, Scaled], namespace: str) -> dict[PoolId, Scaled]:
    """The same, each workload with a namespace: where none was told, this one."""
    return {
        pool_id: replace(each, workload=replace(each.workload, namespace=each.workload.namespace or namespace))
        for pool_id, each in pools.items()
    }


async def mark(client: AsyncClient, workload: Workload, pod: InstanceId, cost: str | None) -> None:
    """Set what it costs that a pod goes; None takes the annotation off.

    Raises:
        KubernetesError: the API server does not answer, refuses, or knows no such pod.
    """
    change = {"metadata": {"annotations": {GOES_FIRST: cost}}}
    async with asked(f"pod {workload.namespace}/{pod}: patch"):
        await client.patch(Pod, pod, change, namespace=workload.namespace)


class ScaleDriver:
    """Writes replicas, one pool after itself.

    Args:
        client: of the API server.
        pools: those whose replicas are this controller's to write.
        present: the site with the instances there are.
        others: carries out what is told of other pools; None where nothing can.
        pause_s: between two looks whether pods that are to go are gone.
    """

    def __init__(
        self,
        client: AsyncClient,
        pools: Mapping[PoolId, Scaled],
        present: Callable[[], Site],
        others: InstanceDriver | None = None,
        *,
        pause_s: float = 1.0,
    ) -> None:
        self._client = client
        self._pools = dict(pools)
        self._present = present
        self._others = others
        self._pause_s = pause_s
        self._turns: defaultdict[PoolId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ours: set[PoolId] = set()
        self._going: dict[InstanceId, int] = {}

    @property
    def verbs(self) -> Collection[Verb]:
        """Start and stop."""
        return (Verb.START, Verb.STOP)

    async def carry_out(self, command: InstanceCommand) -> str:
        """Bring the replicas to what the command asks for; doing it twice is harmless.

        Raises:
            ActuationError: the pool is not this controller's to scale, somebody else writes its replicas, the pod is
                not the one that would go, or the API server does not answer or refuses.
        """
        pool_id, place = self._pool_of(command.instance_id)
        scaled = self._pools.get(pool_id)
        if scaled is None and self._others is not None:
            return await self._others.carry_out(command)
        if scaled is None:
            raise ActuationError(command.instance_id, f"pool {pool_id} has no workload that this controller scales")
        try:
            async with self._turns[pool_id]:
                await self._refuse_others(pool_id, scaled.workload)
                if command.verb is Verb.START:
                    return await self._at_least(scaled, 1 + (0 if place is None else place))
                return await self._without(scaled, command.instance_id)
        except KubernetesError as error:
            raise ActuationError(command.instance_id, f"{command.verb.value}: {error}") from error

    def _pool_of(self, instance_id: InstanceId) -> tuple[PoolId, int | None]:
        """Pool of an instance, and its number where it is a place."""
        place = place_of(instance_id)
        if place is not None:
            return place
        found = self._present().find(instance_id)
        if found is None:
            raise ActuationError(instance_id, "there is no such instance")
        return found[0].pool_id, None

    async def _refuse_others(self, pool_id: PoolId, workload: Workload) -> None:
        resource, _ = _RESOURCES[workload.kind]
        async with asked(f"{workload}: get"):
            found = await self._client.get(resource, workload.name, namespace=workload.namespace)
        managed = [each.to_dict() for each in found.metadata.managedFields or ()]
        writers = replica_writers(managed)
        autoscalers = await self._autoscalers(workload.namespace or "")
        reason = refusal(workload, autoscalers, writers, manager=FIELD_MANAGER, was_ours=pool_id in self._ours)
        if reason is not None:
            raise ActuationError(pool_id, reason)
        if any(each.manager == FIELD_MANAGER for each in writers):
            self._ours.add(pool_id)

    async def _autoscalers(self, namespace: str) -> list[Autoscaler]:
        found: list[Autoscaler] = []
        for kind, resource in (("HorizontalPodAutoscaler", HorizontalPodAutoscaler), ("ScaledObject", _SCALED_OBJECT)):
            try:
                async with asked(f"{kind} in {namespace}: list"):
                    listed = [each async for each in self._client.list(resource, namespace=namespace)]
            except KubernetesError as error:
                if error.status != _ABSENT:
                    raise
                continue  # this cluster knows no such kind
            found += [autoscaler_of({**each.to_dict(), "kind": kind}) for each in listed]
        return found

    async def _at_least(self, scaled: Scaled, wanted: int) -> str:
        if wanted > scaled.most:
            raise ActuationError(str(scaled.workload), f"{wanted} replicas are more than the {scaled.most} allowed")
        return await self._write(scaled, lambda now: max(now, wanted))

    async def _without(self, scaled: Scaled, pod: InstanceId) -> str:
        """One replica less, so that this pod goes."""
        if pod not in self._going:
            before = await self._settled(scaled.workload)
            if before <= scaled.least:
                raise ActuationError(pod, f"{scaled.workload} has {before} replicas, and {scaled.least} are the least")
            await self._choose(scaled.workload, pod, before)
            there = self._present()
            self._going = {name: target for name, target in self._going.items() if there.find(name) is not None}
            self._going[pod] = before - 1
        return await self._write(scaled, lambda now: max(scaled.least, min(now, self._going[pod])))

    async def _settled(self, workload: Workload) -> int:
        """How many replicas there are to be, once there are no more pods than that."""
        for _ in range(LOOKS):
            found = await self._scale(workload)
            wanted, there = (int((part and part.replicas) or 0) for part in (found.spec, found.status))
            if there <= wanted:
                return wanted
            await asyncio.sleep(self._pause_s)
        reason = f"{there} pods are there and {wanted} are to be; those that go are waited for"
        raise ActuationError(str(workload), reason)

    async def _choose(self, workload: Workload, pod: InstanceId, replicas: int) -> None:
        """Have this pod be the one that goes."""
        if workload.kind == "Deployment":
            await mark(self._client, workload, pod, COST)
        elif pod != f"{workload.name}-{replicas - 1}":
            raise ActuationError(pod, f"of {workload} only the last can go: {workload.name}-{replicas - 1}")

    async def _scale(self, workload: Workload) -> Any:
        """Its scale subresource."""
        _, scale = _RESOURCES[workload.kind]
        async with asked(f"{workload}: get scale"):
            return await self._client.get(scale, workload.name, namespace=workload.namespace)

    async def _write(self, scaled: Scaled, becomes: Callable[[int], int]) -> str:
        """Set the replicas by what they are, and read them back."""
        workload = scaled.workload
        for attempt in range(TRIES):
            found = await self._scale(workload)
            now = int(found.spec.replicas or 0)
            if (wanted := becomes(now)) == now:
                return f"{workload} has {now} replicas already"
            found.spec.replicas = wanted
            try:
                async with asked(f"{workload}: put scale"):
                    written = await self._client.replace(found, workload.name, namespace=workload.namespace)
            except KubernetesError as error:
                if error.status != _CONFLICT or attempt == TRIES - 1:
                    raise
                continue
            if (said := int(written.spec.replicas or 0)) != wanted:
                raise ActuationError(str(workload), f"{wanted} replicas were written, and {said} are there")
            return f"{workload}: {now} to {wanted} replicas"
        raise ActuationError(str(workload), "its replicas change faster than they can be written")
