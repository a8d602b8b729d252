"""Instances that are pods, let go for an autoscaler to take away: the metric falls by those that would go first alone.

An autoscaler writes a number, and Kubernetes chooses who goes: of a Deployment the pod that is marked, of the others
the one of the highest number. So a drained pod of a Deployment is marked, and only then shown as let go. It may stay
for long: until the autoscaler has waited, or for good where somebody keeps it. Its engine is ready, so that it serves
again as soon as a table says so, whatever the API server does; the mark is taken off after that (`marks`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace

from lightkube import AsyncClient

from controller.clock import Clock
from controller.errors import ActuationError, KubernetesError
from controller.kubernetes.marks import Marks
from controller.kubernetes.owners import Workload
from controller.lifecycle.roster import number_of
from controller.model.fleet import Pool, Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.ports import InstanceDriver
from router.contract import InstanceId, PoolId


class Release:
    """Knows which instances are let go, and marks their pods.

    Args:
        client: of the API server.
        workloads: of the pools whose pods an autoscaler takes.
        present: the site with the instances there are.
        clock: for the time between attempts.

    Attributes:
        marks: those of its pods.
    """

    def __init__(
        self,
        client: AsyncClient,
        workloads: Mapping[PoolId, Workload],
        present: Callable[[], Site],
        clock: Clock,
    ) -> None:
        self.marks = Marks(client, workloads, present, clock)
        self._let_go: set[InstanceId] = set()

    def pool_of(self, instance_id: InstanceId) -> Pool | None:
        """The pool of an instance that may be let go; None where it is none of those."""
        return self.marks.pool_of(instance_id)

    async def let_go(self, pod: InstanceId) -> str:
        """Have this pod be one that goes first.

        Raises:
            ActuationError: it cannot be marked, or has been taken back meanwhile.
        """
        workload = self.marks.workload_of(pod)
        if workload is None:
            raise ActuationError(pod, "there is no such pod that may be let go")
        if workload.kind == "Deployment":
            try:
                await self.marks.set(workload, pod)
            except KubernetesError as error:
                raise ActuationError(pod, f"it is kept, as it cannot be marked to go first: {error}") from error
        elif pod != f"{workload.name}-{number_of(pod)}":
            raise ActuationError(pod, f"it is kept, as its place among the pods of {workload} is not known")
        if pod not in self.marks.resting:
            raise ActuationError(pod, "it was taken back meanwhile")
        self._let_go.add(pod)
        return f"{pod} may be taken away from {workload}"

    async def take_back(self, pod: InstanceId) -> str:
        """Have it stay; it does so even where the mark cannot be taken off, which is tried again with each table."""
        self._let_go.discard(pod)
        return "it stays" if await self.marks.take_off(pod) else f"it stays, and bears its mark: {self.marks.failure}"

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """See who rests by a table: whoever does not is not let go, and bears no mark.

        Raises:
            ActuationError: the last attempt to take a mark off failed.
        """
        self._let_go &= set(commands.table.draining) & self.marks.there()
        return await self.marks.apply(commands)

    def shown(self, instances: tuple[InstanceObservation, ...]) -> tuple[InstanceObservation, ...]:
        """The observations with those that are let go, which rest whether or not their engines sleep."""
        return tuple(self._shown(each) if each.instance_id in self._let_go else each for each in instances)

    def forget(self) -> None:
        """Know of none: another controller has taken charge, and may send to them or let others go."""
        self._let_go.clear()
        self.marks.forget()

    def adopt(self, pods: Collection[InstanceId]) -> None:
        """Go on from what another controller has let go, whose pods bear its marks."""
        self._let_go = self.marks.there().intersection(pods)
        self.marks.doubt(self._let_go)

    def driver(self, engines: InstanceDriver, starting: InstanceDriver | None) -> ReleasingDriver:
        """Carries out what concerns it, and leaves the rest to these."""
        return ReleasingDriver(self, engines, starting)

    async def close(self) -> None:
        """Give up what is under way."""
        await self.marks.close()

    def _shown(self, seen: InstanceObservation) -> InstanceObservation:
        pool = self.pool_of(seen.instance_id)
        rests = pool is not None and pool.rests_awake and seen.state is InstanceState.SERVING
        return replace(seen, state=InstanceState.SLEEPING if rests else seen.state, is_let_go=True)


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
