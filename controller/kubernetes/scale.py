"""Instances that are pods, started and stopped by the replicas of their workload: through the scale subresource alone.

A start is for a place, whose number says how many there are to be with it, so that a start told twice makes one pod. A
stop is for one drained pod and lowers the replicas by one: of a Deployment the pod is marked to go first, of the others
only the last can go. Nothing is remembered of stops before: what goes already is seen by the pod or by its number, and
no further one is taken off while more are there than there are to be. Who else writes the replicas is looked for before
each write, and it is left to them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from lightkube import AsyncClient
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment, DeploymentScale, StatefulSet, StatefulSetScale
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler

from controller.errors import ActuationError, KubernetesError
from controller.kubernetes.client import FIELD_MANAGER, asked
from controller.kubernetes.marks import Marks
from controller.kubernetes.owners import Autoscaler, Scaled, Workload, autoscaler_of, refusal, replica_writers
from controller.lifecycle.roster import number_of, place_of
from controller.model.fleet import Site
from controller.model.plan import InstanceCommand, Verb
from controller.ports import InstanceDriver
from router.contract import InstanceId, PoolId

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


class ScaleDriver:
    """Writes replicas, one pool after itself.

    Args:
        client: of the API server.
        pools: those whose replicas are this controller's to write.
        present: the site with the instances there are.
        marks: of the pods of those pools.
        others: carries out what is told of other pools; None where nothing can.
        may_act: whether this controller leads; asked right before each write.
        pause_s: between two looks whether pods that are to go are gone.
    """

    def __init__(
        self,
        client: AsyncClient,
        pools: Mapping[PoolId, Scaled],
        present: Callable[[], Site],
        marks: Marks,
        *,
        others: InstanceDriver | None = None,
        may_act: Callable[[], bool] = lambda: True,
        pause_s: float = 1.0,
    ) -> None:
        self._client = client
        self._pools = dict(pools)
        self._present = present
        self._marks = marks
        self._others = others
        self._may_act = may_act
        self._pause_s = pause_s
        self._turns: defaultdict[PoolId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ours: set[PoolId] = set()

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
                if command.verb is Verb.START:
                    wanted = 1 + (0 if place is None else place)
                    return await self._tried(lambda: self._at_least(pool_id, scaled, wanted))
                return await self._tried(lambda: self._without(pool_id, scaled, command.instance_id))
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

    async def _tried(self, attempt: Callable[[], Awaitable[str]]) -> str:
        """What came of it; from the beginning again where somebody else wrote meanwhile."""
        for _ in range(TRIES - 1):
            try:
                return await attempt()
            except KubernetesError as error:
                if error.status != _CONFLICT:
                    raise
        return await attempt()

    async def _at_least(self, pool_id: PoolId, scaled: Scaled, wanted: int) -> str:
        if wanted > scaled.most:
            raise ActuationError(str(scaled.workload), f"{wanted} replicas are more than the {scaled.most} allowed")
        await self._refuse_others(pool_id, scaled.workload)
        found = await self._scale(scaled.workload)
        if (now := _asked_for(found)) >= wanted:
            return f"{scaled.workload} has {now} replicas already"
        return await self._write(pool_id, scaled.workload, found, wanted)

    async def _without(self, pool_id: PoolId, scaled: Scaled, pod: InstanceId) -> str:
        """One replica less, so that this pod goes."""
        workload = scaled.workload
        await self._refuse_others(pool_id, workload)
        in_order = workload.kind != "Deployment"
        if in_order and _number(workload, pod) >= (now := _asked_for(await self._scale(workload))):
            return f"{pod} goes already: {workload} has {now} replicas"
        found = await self._settled(workload)
        before = _asked_for(found)
        if before <= scaled.least:
            raise ActuationError(pod, f"{workload} has {before} replicas, and {scaled.least} are the least")
        if in_order and _number(workload, pod) != before - 1:
            raise ActuationError(pod, f"of {workload} only the last can go: {workload.name}-{before - 1}")
        if not in_order:
            await self._marks.clear(pool_id)
            if await self._marks.set(workload, pod):
                return f"{pod} goes already"
        if pod not in self._marks.resting or self._marks.doubtful(pool_id):
            raise ActuationError(pod, "it was taken back meanwhile, or another that may bear a mark")
        return await self._write(pool_id, workload, found, before - 1)

    async def _settled(self, workload: Workload) -> Any:
        """Its scale, once there are no more pods than there are to be."""
        for _ in range(LOOKS):
            found = await self._scale(workload)
            wanted, there = _asked_for(found), int((found.status and found.status.replicas) or 0)
            if there <= wanted:
                return found
            await asyncio.sleep(self._pause_s)
        reason = f"{there} pods are there and {wanted} are to be; those that go are waited for"
        raise ActuationError(str(workload), reason)

    async def _scale(self, workload: Workload) -> Any:
        """Its scale subresource."""
        _, scale = _RESOURCES[workload.kind]
        async with asked(f"{workload}: get scale"):
            return await self._client.get(scale, workload.name, namespace=workload.namespace)

    async def _write(self, pool_id: PoolId, workload: Workload, found: Any, wanted: int) -> str:
        """Set the replicas of a scale that was read, unless it has changed since; and read them back."""
        if not self._may_act():
            raise ActuationError(str(workload), "this controller leads no more")
        now, found.spec.replicas = _asked_for(found), wanted
        async with asked(f"{workload}: put scale"):
            written = await self._client.replace(found, workload.name, namespace=workload.namespace)
        self._ours.add(pool_id)
        if (said := _asked_for(written)) != wanted:
            raise ActuationError(str(workload), f"{wanted} replicas were written, and {said} are there")
        return f"{workload}: {now} to {wanted} replicas"


def _asked_for(scale: Any) -> int:
    """How many there are to be; a count of zero is left out of what the API server writes."""
    return int((scale.spec and scale.spec.replicas) or 0)


def _number(workload: Workload, pod: InstanceId) -> int:
    """The place of a pod among those that go in order; -1 where it bears no name of theirs."""
    number = number_of(pod)
    return number if pod == f"{workload.name}-{number}" else -1
