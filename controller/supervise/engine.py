"""One engine as a process: what the policy says of it is done here, and what is seen of it is told to the policy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

import aiohttp

from controller.clock import Clock
from controller.errors import ActuationError, StoreError
from controller.ports import EngineClient
from controller.supervise.engine_log import EngineLog
from controller.supervise.engine_process import UNKNOWN_ENDING, EngineProcess
from controller.supervise.launching import NotYet, nowhere, refuse_taken
from controller.supervise.policy import Act, Life, Phase, Rules, Seen, asked, begun, crashed, postponed, step
from controller.supervise.records import Record, Records
from controller.supervise.spec import EngineSpec

log = logging.getLogger(__name__)

POLL_S = 0.5
_PROBE_S = {Phase.STARTING: 1.0, Phase.SERVING: 5.0}
"""Time between two looks at /health."""
_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=3.0)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every engine is run with.

    Attributes:
        boot: name of this life of the machine.
        environment: what engines inherit.
        client: asks them for /health.
        refuse_absent_gpus: raises `ActuationError` where a GPU is not in this machine.
    """

    rules: Rules
    clock: Clock
    chance: Random
    records: Records
    boot: str
    environment: Mapping[str, str]
    client: EngineClient
    refuse_absent_gpus: Callable[[str, tuple[str, ...]], Awaitable[None]]


class Engine:
    """Runs one engine's process.

    Attributes:
        life: where it stands.
        record: what outlasts this supervisor.
        process: that runs, or ran last.
        is_healthy: by the last look at /health.
        log_fault: what is wrong with its log while it runs; empty where nothing is.
        last_words: of its log, when it ended by itself.
    """

    def __init__(self, spec: EngineSpec, record: Record, engine_log: EngineLog, tools: Tools) -> None:
        self.spec = spec
        self.record = record
        self.log = engine_log
        self.process = EngineProcess(record.mark, tools.boot)
        self.is_healthy = False
        self.log_fault = ""
        self.last_words: tuple[str, ...] = ()
        self._tools = tools
        self._unkept = ""
        self._unwritten = ""
        self._ill_since_s: float | None = None
        self._probed_at_s = float("-inf")
        self._woken = asyncio.Event()
        self._refusal: Callable[[], str | None] = lambda: None
        phase = Phase.STARTING if self.process.is_adopted else Phase.OFF
        self.life = Life(record.wanted, phase, tools.clock.monotonic_s())

    @property
    def holds(self) -> bool:
        """Whether it has a process."""
        return self.record.mark is not None

    @property
    def pid(self) -> int | None:
        """Number of its process."""
        return None if self.record.mark is None else self.record.mark.pid

    @property
    def fault(self) -> str:
        """Why it does not run, and why what it was told to do is not kept; empty where nothing is wrong."""
        if not self._unwritten or self._unwritten in self.life.fault:
            return self.life.fault
        unkept = f"{self._unwritten}; until then a later supervisor does not know what was ordered last"
        return f"{self.life.fault}; {unkept}" if self.life.fault else unkept

    @property
    def is_changed(self) -> bool:
        """Whether its process was started by another command than the configuration has."""
        return self.holds and self.spec.is_configured and self.record.fingerprint != self.spec.fingerprint

    def refuse_by(self, refusal: Callable[[], str | None]) -> None:
        """Ask before each start why it may not be; None where it may."""
        self._refusal = refusal

    def order(self, *, wanted: bool) -> None:
        """Have it run, or not; what was ordered outlasts this supervisor."""
        log.info("order", extra={"instance_id": self.spec.instance_id, "wanted": wanted})
        self.life = asked(self.life, self._tools.clock.monotonic_s(), wanted=wanted)
        self._keep(wanted=wanted)
        self._woken.set()

    async def watch(self) -> None:
        """Look and act until cancelled."""
        is_settled = False
        while True:
            try:
                if not is_settled:
                    self._settle_former()
                    is_settled = True
                await self._turn()
            except Exception as error:  # a fault here must neither end the watch nor that of other engines
                fault = f"{type(error).__name__}: {error}"[:500]
                if fault != self.life.fault:  # it may be the same at each turn
                    log.exception("watching an engine failed", extra={"instance_id": self.spec.instance_id})
                self.life = replace(self.life, fault=fault)
            else:
                if self.life.phase is Phase.SERVING and self.life.fault:
                    self.life = replace(self.life, fault="")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            self._woken.clear()

    async def _turn(self) -> None:
        if self._unwritten:
            self._write()
        if self.holds:
            fault = await asyncio.to_thread(self._log_fault_of, self.pid)
            self._note_log(self._unkept or fault or "")
        seen = await self._look()
        now_s, before = self._tools.clock.monotonic_s(), self.life
        self.life, act = step(before, seen, now_s, self._tools.chance.random(), self._tools.rules)
        if self.holds and not seen.is_alive:
            self._bury(seen.ending)
        if self.life.phase is not before.phase:
            self._tell(before)
        if act is Act.START:
            await self._start()
        elif act is Act.TERMINATE:
            self.process.terminate()
        elif act is Act.KILL:
            self.process.kill()

    async def _look(self) -> Seen:
        if not self.holds:
            return Seen(is_alive=False, ending=self.record.last_exit)
        ending = self.process.ending()
        if ending:
            return Seen(is_alive=False, ending=ending)
        if not self.spec.is_configured:  # its address may lead elsewhere by now
            return Seen(is_alive=True, is_healthy=True)
        now_s = self._tools.clock.monotonic_s()
        pause_s = _PROBE_S.get(self.life.phase)
        if pause_s is not None and now_s - self._probed_at_s >= pause_s:
            self._probed_at_s = now_s
            self.is_healthy = await self._is_well()
            if self.is_healthy:
                self._ill_since_s = None
            elif self._ill_since_s is None:
                self._ill_since_s = now_s
        ill_s = 0.0 if self._ill_since_s is None else self._tools.clock.monotonic_s() - self._ill_since_s
        return Seen(is_alive=True, is_healthy=self.is_healthy, ill_s=ill_s)

    async def _is_well(self) -> bool:
        try:
            async with self._tools.client.request("GET", self.spec.url, "/health", timeout=_PROBE_TIMEOUT) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _start(self) -> None:
        tools = self._tools
        try:
            self._refuse_for_now()  # first: an address that an own engine still has is not somebody else's
            await tools.refuse_absent_gpus(self.spec.instance_id, self.spec.gpu_uuids)
            await asyncio.to_thread(refuse_taken, self.spec)  # a name may take long to be looked up
            if self.life.wanted:
                self._launch()
        except NotYet as error:
            after = postponed(self.life, error.reason, tools.clock.monotonic_s())
        except ActuationError as error:
            after = crashed(self.life, error.reason, tools.clock.monotonic_s(), tools.chance.random(), tools.rules)
        else:
            after = begun(self.life, tools.clock.monotonic_s())
        before, self.life = self.life, after
        if not before.wanted:  # a stop came while the GPUs were looked for
            self.life = Life(wanted=False, phase=Phase.OFF, since_s=after.since_s)
        elif (after.phase, after.fault) != (before.phase, before.fault):
            self._tell(before)

    def _refuse_for_now(self) -> None:
        """See that no other engine is in the way, and that a later supervisor could find this one.

        Raises:
            NotYet: it may not be started before that has changed.
        """
        refusal = self._refusal() or self._unwritten
        if refusal:
            raise NotYet(self.spec.instance_id, refusal)

    def _launch(self) -> None:
        """Start the process and keep what it is known by.

        Raises:
            NotYet: another engine is in the way, or this one could not be found again by a later supervisor; it was
                ended.
            ActuationError: it cannot be started.
        """
        spec, tools = self.spec, self._tools
        self._refuse_for_now()
        output = self._open_log()
        try:
            mark = self.process.begin(spec, tools.environment, output)
        finally:
            os.close(output)
        self._ill_since_s, self.is_healthy = None, False
        record = replace(self.record, mark=mark, url=spec.url, gpu_uuids=spec.gpu_uuids, fingerprint=spec.fingerprint)
        record = replace(record, restarts=record.restarts + bool(self.life.crashes))
        try:
            tools.records.write(record)
        except StoreError as error:
            self.process.undo()
            self._note_unwritten(str(error))
            raise NotYet(spec.instance_id, str(error)) from error
        self.record = record
        log.info("engine started", extra={"instance_id": spec.instance_id, "pid": mark.pid, "log": str(self.log.path)})

    def _open_log(self) -> int:
        """An engine without a log is better than none."""
        self._unkept = ""
        try:
            return self.log.open()
        except OSError as error:
            self._unkept = f"{self.log.path}: {error.strerror}; its output is not kept until it is started again"
            return nowhere()

    def _log_fault_of(self, pid: int | None) -> str | None:
        unbounded = self.log.bound()
        return (None if pid is None else self.log.lost(pid)) or unbounded

    def _note_log(self, fault: str) -> None:
        self._log_turn(self.log_fault, fault, "log of an engine is not kept", "log of an engine is kept again")
        self.log_fault = fault

    def _bury(self, ending: str) -> None:
        """Its process has ended, and what that has left behind goes, too."""
        left = self.process.clear()
        self.last_words, self.is_healthy, self.log_fault = self.log.tail(), False, ""
        if not self.spec.is_configured:
            self.life = Life(wanted=False, phase=Phase.OFF, since_s=self._tools.clock.monotonic_s())
        extra = {"instance_id": self.spec.instance_id, "ending": ending, "left_processes_killed": left}
        log.info("engine has ended", extra=extra)
        self._keep(mark=None, last_exit=ending)

    def _settle_former(self) -> None:
        """What a former supervisor's engine left behind, if that ended while nobody looked."""
        if self.holds and not self.process.is_adopted:
            self._bury(UNKNOWN_ENDING)
        elif self.holds:
            log.info("engine adopted", extra={"instance_id": self.spec.instance_id, "pid": self.pid})
            if self.record.url != self.spec.url and self.spec.is_configured:
                log.warning(
                    "engine listens elsewhere than configured, it is started anew",
                    extra={"instance_id": self.spec.instance_id},
                )
                self.life = replace(self.life, phase=Phase.STOPPING)
                self.process.terminate()

    def _keep(self, **changes: object) -> None:
        """Change the record; where it cannot be written the order holds for this supervisor all the same."""
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]  # names of its own fields
        self._write()

    def _write(self) -> None:
        try:
            if self.spec.is_configured or self.holds:
                self._tools.records.write(self.record)
            else:
                self._tools.records.drop(self.spec.instance_id)
        except (StoreError, OSError) as error:
            self._note_unwritten(str(error))
        else:
            self._note_unwritten("")

    def _note_unwritten(self, reason: str) -> None:
        """Know why the record is not written; empty where it is."""
        begins, ends = "record of an engine not written", "record of an engine written again"
        self._log_turn(self._unwritten, reason, begins, ends)
        self._unwritten = reason

    def _log_turn(self, before: str, now: str, begins: str, ends: str) -> None:
        """Log once that a fault begins, and once that it ends; it is empty where there is none."""
        extra = {"instance_id": self.spec.instance_id, "reason": now}
        if now and not before:
            log.error(begins, extra=extra)
        elif before and not now:
            log.info(ends, extra=extra)

    def _tell(self, before: Life) -> None:
        life = self.life
        told = {"instance_id": self.spec.instance_id, "state": life.phase.value, "before": before.phase.value}
        if life.phase is Phase.FAILED:
            log.error("engine given up", extra={**told, "reason": life.fault, "log_tail": list(self.last_words)})
        elif life.fault:
            log.warning("engine state", extra={**told, "reason": life.fault})
        else:
            log.info("engine state", extra=told)
