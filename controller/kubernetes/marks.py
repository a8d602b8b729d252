"""The marks by which a Deployment chooses who goes first: pods that serve bear none.

A pod is marked before it is to go, and may serve again all the same: a write failed, the plan wants more, or another
controller leads. Kubernetes would take it first then, whatever it serves. So with each table the marks of all that
serve are taken off, those that a former controller has left among them, and none may be left when replicas fall.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from lightkube import AsyncClient
from lightkube.resources.core_v1 import Pod

from controller.clock import Clock
from controller.errors import ActuationError, KubernetesError
from controller.kubernetes.client import asked
from controller.kubernetes.owners import Workload
from controller.model.fleet import Pool, Site
from controller.model.plan import Commands
from router.contract import InstanceId, PoolId

log = logging.getLogger(__name__)

GOES_FIRST = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation by which a Deployment chooses: the least goes first."""
COST = "-1000"
RETRY_S = 30.0
"""Least time between two attempts to take marks off, after one that failed."""
_ABSENT = 404


async def mark(client: AsyncClient, workload: Workload, pod: InstanceId, cost: str | None) -> bool:
    """Set what it costs that a pod goes; None takes the annotation off.

    Returns:
        Whether the pod is going already.

    Raises:
        KubernetesError: the API server does not answer, refuses, or knows no such pod.
    """
    change = {"metadata": {"annotations": {GOES_FIRST: cost}}}
    async with asked(f"pod {workload.namespace}/{pod}: patch"):
        found = await client.patch(Pod, pod, change, namespace=workload.namespace)
    return found.metadata is not None and found.metadata.deletionTimestamp is not None


class Marks:
    """Sets marks, and takes them off whoever serves.

    Args:
        client: of the API server.
        workloads: of the pools whose pods are marked; only those of Deployments are.
        present: the site with the instances there are.
        clock: for the time between attempts.

    Attributes:
        resting: instances that get nothing by the last table.
        failure: why a mark could not be taken off at the last attempt; None where it could.
    """

    def __init__(
        self,
        client: AsyncClient,
        workloads: Mapping[PoolId, Workload],
        present: Callable[[], Site],
        clock: Clock,
    ) -> None:
        self._client = client
        self._workloads = dict(workloads)
        self._present = present
        self._clock = clock
        self._clean: set[InstanceId] = set()
        self._failed_s = 0.0
        self._cleaning: asyncio.Task[None] | None = None
        self.resting: frozenset[InstanceId] = frozenset()
        self.failure: str | None = None

    @property
    def is_cleaning(self) -> bool:
        """Whether marks are being taken off."""
        return self._cleaning is not None

    def pool_of(self, instance_id: InstanceId) -> Pool | None:
        """The pool of an instance whose workload is known; None where it is none of those."""
        found = self._present().find(instance_id)
        return found[0] if found is not None and found[0].pool_id in self._workloads else None

    def workload_of(self, pod: InstanceId) -> Workload | None:
        """What runs it."""
        pool = self.pool_of(pod)
        return None if pool is None else self._workloads[pool.pool_id]

    def there(self) -> set[InstanceId]:
        """All instances of those pools."""
        pools = (pool for pool in self._present().pools if pool.pool_id in self._workloads)
        return {each.instance_id for pool in pools for each in pool.instances}

    async def set(self, workload: Workload, pod: InstanceId) -> bool:
        """Have this pod be one that goes first; whether it is going already.

        Raises:
            KubernetesError: it cannot be marked.
        """
        try:
            return await mark(self._client, workload, pod, COST)
        finally:
            self._clean.discard(pod)

    async def take_off(self, pod: InstanceId) -> bool:
        """Take the mark off; whether the pod bears none now."""
        workload = self.workload_of(pod)
        if workload is None or workload.kind != "Deployment":
            return True
        try:
            await mark(self._client, workload, pod, None)
        except KubernetesError as error:
            if error.status != _ABSENT:
                self.failure, self._failed_s = str(error), self._clock.monotonic_s()
                log.warning("mark not taken off", extra={"pod": pod, "reason": str(error)})
                return False
        self.failure = None
        self._clean.add(pod)
        return True

    async def clear(self, pool_id: PoolId) -> None:
        """Take off what pods of a pool that serve may still bear.

        Raises:
            ActuationError: one cannot be taken off.
        """
        for pod in self.doubtful(pool_id):
            if not await self.take_off(pod):
                raise ActuationError(pod, f"its mark cannot be taken off, and it serves: {self.failure}")

    def doubtful(self, of: PoolId | None = None) -> list[InstanceId]:
        """Pods of Deployments that serve and may bear a mark, of one pool or of all."""
        deployments = {key for key, workload in self._workloads.items() if workload.kind == "Deployment"}
        pools = (pool for pool in self._present().pools if pool.pool_id in deployments)
        there = {each.instance_id for pool in pools if of in (None, pool.pool_id) for each in pool.instances}
        return sorted(there - self.resting - self._clean)

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """See who rests by a table: whoever does not bears no mark.

        Raises:
            ActuationError: the last attempt to take a mark off failed.
        """
        self.resting = frozenset(commands.table.draining)
        self._clean &= self.there()
        due = self.doubtful()
        if due and self._cleaning is None and self._may_try():
            self._cleaning = asyncio.create_task(self._clean_up(due), name="marks")
        if not due:
            self.failure = None
        if self.failure is not None:
            raise ActuationError("pods that serve", f"a mark cannot be taken off: {self.failure}")
        return ()

    def doubt(self, pods: Collection[InstanceId]) -> None:
        """Know that these may bear marks."""
        self._clean -= set(pods)

    def forget(self) -> None:
        """Know of none: another controller has taken charge, and may mark them."""
        self._clean.clear()
        self.resting = frozenset()

    async def close(self) -> None:
        """Give up what is under way."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.gather(self._cleaning, return_exceptions=True)
            self._cleaning = None

    def _may_try(self) -> bool:
        return self.failure is None or self._clock.monotonic_s() - self._failed_s >= RETRY_S

    async def _clean_up(self, pods: list[InstanceId]) -> None:
        """Take the marks off, until one cannot be."""
        try:
            for pod in pods:
                if pod not in self.resting and not await self.take_off(pod):
                    return
        finally:
            self._cleaning = None


@contextlib.asynccontextmanager
async def opened_marks(marks: Marks) -> AsyncIterator[Marks]:
    """Them, until the end."""
    try:
        yield marks
    finally:
        await marks.close()
