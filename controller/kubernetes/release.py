"""Instances that are pods, let go for an autoscaler to take away: the metric falls by those that would go first alone.

An autoscaler writes a number, and Kubernetes chooses who goes: of a Deployment the pod that is marked, of the others
the one of the highest number. So a drained pod of a Deployment is marked, and only then shown as let go. It may stay
for long: until the autoscaler has waited, or for good where somebody keeps it. Its engine is ready, so that it serves
again as soon as a table says so, whatever the API server does; the mark is taken off after that. Pods that serve bear
no mark: at its start a controller takes those off that a former one has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace

from lightkube import AsyncClient

from controller.clock import Clock
from controller.errors import ActuationError, KubernetesError
from controller.kubernetes.owners import Workload
from controller.kubernetes.scale import COST, mark
from controller.lifecycle.roster import number_of
from controller.model.fleet import Pool, Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.ports import InstanceDriver
from router.contract import InstanceId, PoolId

log = logging.getLogger(__name__)

RETRY_S = 30.0
"""Least time between two attempts to take marks off, after one that failed."""
_ABSENT = 404


class Release:
    """Knows which instances are let go, and marks their pods.

    Args:
        client: of the API server.
        workloads: of the pools whose pods an autoscaler takes.
        present: the site with the instances there are.
        clock: for the time between attempts.
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
        self._let_go: set[InstanceId] = set()
        self._resting: frozenset[InstanceId] = frozenset()
        self._clean: set[InstanceId] = set()
        self._failure: str | None = None
        self._failed_s = 0.0
        self._cleaning: asyncio.Task[None] | None = None

    def pool_of(self, instance_id: InstanceId) -> Pool | None:
        """The pool of an instance that may be let go; None where it is none of those."""
        found = self._present().find(instance_id)
        return found[0] if found is not None and found[0].pool_id in self._workloads else None

    async def let_go(self, pod: InstanceId) -> str:
        """Have this pod be one that goes first.

        Raises:
            ActuationError: it cannot be marked, or has been taken back meanwhile.
        """
        workload = self._workload_of(pod)
        if workload is None:
            raise ActuationError(pod, "there is no such pod that may be let go")
        if workload.kind == "Deployment":
            self._clean.discard(pod)
            try:
                await mark(self._client, workload, pod, COST)
            except KubernetesError as error:
                raise ActuationError(pod, f"it is kept, as it cannot be marked to go first: {error}") from error
        elif pod != f"{workload.name}-{number_of(pod)}":
            raise ActuationError(pod, f"it is kept, as its place among the pods of {workload} is not known")
        if pod not in self._resting:
            raise ActuationError(pod, "it was taken back meanwhile")
        self._let_go.add(pod)
        return f"{pod} may be taken away from {workload}"

    async def take_back(self, pod: InstanceId) -> str:
        """Have it stay; it does so even where the mark cannot be taken off, which is tried again with each table."""
        self._let_go.discard(pod)
        return "it stays" if await self._unmarked(pod) else f"it stays, and bears its mark: {self._failure}"

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """See who rests by a table: whoever does not is not let go, and bears no mark.

        Raises:
            ActuationError: the last attempt to take a mark off failed.
        """
        self._resting = frozenset(commands.table.draining)
        there = self._there()
        self._let_go &= self._resting & there
        self._clean &= there
        due = [pod for pod in sorted(there - self._resting - self._clean) if self._may_bear(pod)]
        if due and self._cleaning is None and self._may_try():
            self._cleaning = asyncio.create_task(self._clean_up(due), name="marks")
        if not due:
            self._failure = None
        if self._failure is not None:
            raise ActuationError("pods that serve", f"a mark cannot be taken off: {self._failure}")
        return ()

    def shown(self, instances: tuple[InstanceObservation, ...]) -> tuple[InstanceObservation, ...]:
        """The observations with those that are let go, which rest whether or not their engines sleep."""
        return tuple(self._shown(each) if each.instance_id in self._let_go else each for each in instances)

    def forget(self) -> None:
        """Know of none: another controller has taken charge, and may send to them or let others go."""
        self._let_go.clear()
        self._clean.clear()
        self._resting = frozenset()

    def adopt(self, pods: Collection[InstanceId]) -> None:
        """Go on from what another controller has let go, whose pods bear its marks."""
        self._let_go = self._there().intersection(pods)
        self._clean -= self._let_go

    def driver(self, engines: InstanceDriver, starting: InstanceDriver | None) -> ReleasingDriver:
        """Carries out what concerns it, and leaves the rest to these."""
        return ReleasingDriver(self, engines, starting)

    async def close(self) -> None:
        """Give up what is under way."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.gather(self._cleaning, return_exceptions=True)

    def _shown(self, seen: InstanceObservation) -> InstanceObservation:
        pool = self.pool_of(seen.instance_id)
        rests = pool is not None and pool.rests_awake and seen.state is InstanceState.SERVING
        return replace(seen, state=InstanceState.SLEEPING if rests else seen.state, is_let_go=True)

    def _there(self) -> set[InstanceId]:
        pools = (pool for pool in self._present().pools if pool.pool_id in self._workloads)
        return {each.instance_id for pool in pools for each in pool.instances}

    def _workload_of(self, pod: InstanceId) -> Workload | None:
        pool = self.pool_of(pod)
        return None if pool is None else self._workloads[pool.pool_id]

    def _may_bear(self, pod: InstanceId) -> bool:
        """Whether it may bear a mark, as only pods of Deployments do."""
        workload = self._workload_of(pod)
        return workload is not None and workload.kind == "Deployment"

    def _may_try(self) -> bool:
        return self._failure is None or self._clock.monotonic_s() - self._failed_s >= RETRY_S

    async def _clean_up(self, pods: list[InstanceId]) -> None:
        """Take the marks off, until one cannot be."""
        try:
            for pod in pods:
                if pod not in self._resting and not await self._unmarked(pod):
                    return
        finally:
            self._cleaning = None

    async def _unmarked(self, pod: InstanceId) -> bool:
        """Take the mark off; whether the pod bears none now."""
        workload = self._workload_of(pod)
        if workload is None or workload.kind != "Deployment":
            return True
        try:
            await mark(self._client, workload, pod, None)
        except KubernetesError as error:
            if error.status != _ABSENT:
                self._failure, self._failed_s = str(error), self._clock.monotonic_s()
                log.warning("mark not taken off", extra={"pod": pod, "reason": str(error)})
                return False
        self._failure = None
        self._clean.add(pod)
        return True


class ReleasingDriver:
    """Lets instances go in place of stopping them, or of putting to sleep those that cannot; the rest is for others.

    Args:
        release: marks them.
        engines: puts to sleep and wakes.
        starting: stops what is none of these; None where nothing can.
    """

    def __init__(self, release: Release, engines: InstanceDriver, starting: InstanceDriver | None) -> None:
        self._release = release
        self._engines = engines
        self._starting = starting

    @property
    def verbs(self) -> Collection[Verb]:
        """Sleep, wake, stop."""
        return (Verb.SLEEP, Verb.WAKE, Verb.STOP)

    async def carry_out(self, command: InstanceCommand) -> str:
        """Let the instance go or take it back; doing it twice is harmless.

        Raises:
            ActuationError: it could not be done.
        """
        pod, verb = command.instance_id, command.verb
        pool = self._release.pool_of(pod)
        if pool is None and verb is Verb.STOP:
            if self._starting is None:
                raise ActuationError(pod, "nothing is configured that can stop it; set controller.supervisor_url")
            return await self._starting.carry_out(command)
        if pool is None:
            return await self._engines.carry_out(command)
        if verb is Verb.STOP or (verb is Verb.SLEEP and pool.rests_awake):
            return await self._release.let_go(pod)
        done = "" if pool.rests_awake else await self._engines.carry_out(command)
        if verb is Verb.WAKE:
            return "; ".join(filter(None, (done, await self._release.take_back(pod))))
        return done


@contextlib.asynccontextmanager
async def opened_release(release: Release) -> AsyncIterator[Release]:
    """It, until the end."""
    try:
        yield release
    finally:
        await release.close()
