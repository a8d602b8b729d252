"""Stands for election by a Lease: reads and writes it at the pace of `lease`, until the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from lightkube import AsyncClient
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

from controller.clock import Clock
from controller.errors import ConfigError, KubernetesError
from controller.kubernetes import lease
from controller.kubernetes.client import asked
from controller.kubernetes.lease import Election, LeaseRecord, Standing
from router.backoff import backoff_s

log = logging.getLogger(__name__)

_FORBIDDEN, _ABSENT, _CONFLICT = 403, 404, 409
FIRST_TRIES = 4
"""Refusals (403) in a row, before anything was read, after which the rights are missing: just restarted, an API server
refuses for about a second what it will allow."""
ASKED = "wattroute/standby-asks"
"""Annotation of the lease by which a standby asks the leader for it: who asks, and when."""
_FIRST_PAUSE_S = 1.0
_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class LeasePlace:
    """Where the lease is."""

    name: str
    namespace: str

    def __str__(self) -> str:
        return f"lease {self.namespace}/{self.name}"


class LeaseElection:
    """One candidate.

    Attributes:
        state: as it stands by the last look; see `standing` for now.
        failure: why the lease could not be read or written; None while it can.
        is_over: whether it stands no more.
    """

    def __init__(
        self,
        client: AsyncClient,
        place: LeasePlace,
        candidate: Election,
        clock: Clock,
        chance: Random,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Stand by.

        Args:
            client: of the API server.
            place: of the lease.
            candidate: who stands.
            clock: both clocks; the monotonic one alone decides.
            chance: for jitter.
            on_change: called when another leads than before, or this one stands elsewhere.
        """
        self._client = client
        self._place = place
        self._clock = clock
        self._chance = chance
        self._on_change = on_change
        self._object: Lease | None = None
        self.is_over = False
        self._turn = asyncio.Lock()
        self._fits: Callable[[bool], bool] = lambda is_asked: True
        self._asks: Callable[[], bool] = lambda: False
        self.state = candidate
        self.failure: str | None = None

    @property
    def identity(self) -> str:
        """Who stands."""
        return self.state.identity

    @property
    def leader(self) -> str | None:
        """Who holds the lease by what is known."""
        return self.state.leader

    @property
    def standing(self) -> Standing:
        """Where this candidate stands now."""
        return self.state.at(self._clock.monotonic_s()).standing

    def may_act(self) -> bool:
        """Whether it leads, and nobody else can have taken over yet."""
        return self.state.may_act(self._clock.monotonic_s())

    def stand_by_terms(self, fits: Callable[[bool], bool], asks: Callable[[], bool]) -> None:
        """From now on take the lease, and keep it, only while this one is fit.

        Args:
            fits: whether it is; called with whether a standby asks for the lease.
            asks: whether a standby asks the leader for it.
        """
        self._fits, self._asks = fits, asks

    async def begin(self) -> None:
        """Look for the first time, and lead if nobody does.

        Raises:
            ConfigError: the API server keeps refusing the lease (403).
        """
        for attempt in range(FIRST_TRIES):
            if attempt:
                await self._clock.sleep(_FIRST_PAUSE_S)
            error = await self._round()
            if error is None or error.status != _FORBIDDEN:
                return
        raise ConfigError(
            f"controller.election: {self._place}: {self.failure}; allow this service account the verbs get, create and "
            "update on leases of coordination.k8s.io in that namespace: docs/reference/kubernetes.md"
        )

    async def run(self) -> None:
        """Go on until the lease is given up, or this is cancelled."""
        failures, retry_after_s = 0, None
        while not self.is_over:
            now_s, draw = self._clock.monotonic_s(), self._chance.random()
            pause_s = lease.wait_s(self.state, now_s, draw, retry_after_s)
            if failures:
                longest_s = self.state.times.renew_every_s
                pause_s = max(pause_s, backoff_s(failures, draw, first_s=_RETRY_S, longest_s=longest_s))
            await self._clock.sleep(pause_s)
            error = await self._round()
            failures, retry_after_s = (0, None) if error is None else (failures + 1, error.retry_after_s)

    async def release(self) -> None:
        """Give the lease up for good, so that another takes over at once; where that fails it is told, and runs out."""
        self.is_over = True
        async with self._turn:
            record = lease.released(self.state, self._now_text())
            if record is None:
                return
            self.state = lease.overtaken(self.state)
            try:
                await self._put(record)
            except KubernetesError as error:
                log.warning("lease not released: it runs out by itself", extra={"reason": str(error)})
            else:
                log.info("lease released", extra={"lease": str(self._place)})

    async def _round(self) -> KubernetesError | None:
        """Look, and write what is to be written; returns what failed."""
        async with self._turn:
            if self.is_over:
                return None
            before, failed = self.state, None
            try:
                await self._step_beside_others()
            except KubernetesError as error:
                failed = error
                if error.status == _CONFLICT:
                    self.state = lease.overtaken(self.state)
                self.state = self.state.at(self._clock.monotonic_s())
        self._tell_failure(failed)
        if (before.standing, before.leader) != (self.state.standing, self.state.leader):
            self._tell(before)
            self._on_change()
        return failed

    async def _step_beside_others(self) -> None:
        """A step; a second one where somebody wrote in between, who may have changed no more than an annotation."""
        try:
            await self._step()
        except KubernetesError as error:
            if error.status != _CONFLICT:
                raise
            await self._step()

    async def _step(self) -> None:
        record = await self._get()
        now_s = self._clock.monotonic_s()
        self.state = lease.read(self.state, record, now_s)
        if self._fits(self.state.is_asked(now_s)):
            want = lease.wanted(self.state, now_s, self._now_text())
        else:
            want = lease.released(self.state, self._now_text())
        if want is None:
            if self._object is not None and self.state.leader not in (None, self.identity) and self._asks():
                await self._ask(self._object)
            return
        put = await self._put(want)
        if want.holder == self.identity:
            self.state = lease.written(self.state, put, now_s)
        else:
            self.state = lease.read(lease.overtaken(self.state), put, now_s)

    async def _get(self) -> LeaseRecord | None:
        try:
            async with self._asked("get"):
                found = await self._client.get(Lease, self._place.name, namespace=self._place.namespace)
        except KubernetesError as error:
            if error.status != _ABSENT:
                raise
            self._object = None
            return None
        self._object = found
        return _record_of(found)

    async def _ask(self, found: Lease) -> None:
        """Ask the leader for the lease; it gives it where it cannot reach what is shared."""
        metadata = found.metadata or ObjectMeta()
        metadata.annotations = {**(metadata.annotations or {}), ASKED: f"{self.identity} {self._now_text()}"}
        found.metadata = metadata
        async with self._asked("update"):
            self._object = await self._client.replace(found)

    async def _put(self, record: LeaseRecord) -> LeaseRecord:
        spec = LeaseSpec(
            holderIdentity=record.holder,
            leaseDurationSeconds=max(1, round(record.duration_s)),
            acquireTime=datetime.fromisoformat(record.acquired),
            renewTime=datetime.fromisoformat(record.renewed),
            leaseTransitions=record.transitions,
        )
        if record.version is None or self._object is None:
            meta = ObjectMeta(name=self._place.name, namespace=self._place.namespace)
            async with self._asked("create"):
                put = await self._client.create(Lease(metadata=meta, spec=spec))
        else:
            self._object.spec = spec  # labels and annotations of others stay; the version makes a change since refuse
            async with self._asked("update"):
                put = await self._client.replace(self._object)
        self._object = put
        return _record_of(put)

    def _asked(self, verb: str) -> AbstractAsyncContextManager[None]:
        return asked(f"{self._place}: {verb}", self.state.times.answer_s)

    def _now_text(self) -> str:
        """Now, with the microseconds that the API server insists on."""
        now = datetime.fromtimestamp(self._clock.wall_s(), UTC)
        return now.replace(microsecond=now.microsecond or 1).isoformat()

    def _tell_failure(self, error: KubernetesError | None) -> None:
        told = None if error is None else str(error)
        if told is not None and self.failure is None:
            log.warning("lease not kept", extra={"reason": told, "identity": self.identity})
        elif told is None and self.failure is not None:
            log.info("lease is kept again", extra={"identity": self.identity})
        self.failure = told

    def _tell(self, before: Election) -> None:
        state = self.state
        extra = {"identity": state.identity, "leader": state.leader, "lease": str(self._place)}
        if state.standing is Standing.HELD and before.standing is not Standing.HELD:
            transitions = None if state.record is None else state.record.transitions
            log.info("this controller leads", extra={**extra, "transitions": transitions})
        elif state.standing is Standing.LOST and before.standing is Standing.HELD:
            is_fit = self._fits(state.is_asked(self._clock.monotonic_s()))
            reason = "another took over" if is_fit else "it cannot reach what controllers share"
            log.error("this controller leads no more", extra={**extra, "reason": self.failure or reason})
        elif state.leader != before.leader:
            log.info("another controller leads" if state.leader else "no controller leads", extra=extra)


def _record_of(found: Lease) -> LeaseRecord:
    spec, metadata = found.spec or LeaseSpec(), found.metadata or ObjectMeta()
    return LeaseRecord(
        holder=spec.holderIdentity or lease.NOBODY,
        renewed=_text(spec.renewTime),
        acquired=_text(spec.acquireTime or spec.renewTime),
        transitions=spec.leaseTransitions or 0,
        duration_s=float(spec.leaseDurationSeconds or 0),
        version=metadata.resourceVersion,
        asked=(metadata.annotations or {}).get(ASKED, ""),
    )


def _text(time: datetime | None) -> str:
    return "1970-01-01T00:00:00.000001+00:00" if time is None else time.isoformat()
