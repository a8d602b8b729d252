"""Several worker processes on one public port: starting, watching and stopping them, and summing what they count.

The parent serves the admin port, probes the engines and follows the allocation's source for all workers
(`router.worker_news`). What is said between the processes is in `router.worker_messages`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass

import msgspec

from router import clock
from router.accounting import add_counts
from router.discovery.static import list_instances
from router.errors import WorkersError
from router.settings import RouterFile
from router.shared_memory import CapsMemory
from router.snapshot import Snapshot, counts_of, merge
from router.sources import Sources, report_end
from router.tenants.engine_keys import read_engine_keys
from router.tenants.source import read_tenants
from router.transport.keyring import Keyring
from router.transport.listening import PublicSocket
from router.worker_messages import (
    MAX_LINE_BYTES,
    Begin,
    Drain,
    Report,
    Serve,
    Settings,
    line_of,
    read_by_parent,
)
from router.worker_news import News

log = logging.getLogger(__name__)

REPORT_S = 0.5
"""Longest wait for the workers' reports."""
START_S = 60.0
"""Longest wait for all workers to serve."""
MAX_FALSE_STARTS = 3
"""A router of which a worker ends so often before all serve does not start."""
HANG_S = 30.0
"""A worker that reports nothing for so long has hung: it is killed and replaced."""
LOOK_S = 1.0
"""Time between two looks for workers that have hung."""
LEAVE_S = 10.0
"""How much longer than its drain a worker may take to end."""
CALM_S = 30.0
"""A worker that lived this long is restarted at once when it dies."""
MAX_BACKOFF_S = 10.0


@dataclass(eq=False)
class Member:
    """A running worker process.

    Attributes:
        report: what it last told, undecoded; None until it serves.
        asked: done when it tells again.
        silent_s: time since it told anything, as far as the parent itself was running.
    """

    process: Process
    report: bytes | None = None
    asked: asyncio.Future[None] | None = None
    silent_s: float = 0.0

    def tell(self, line: bytes) -> None:
        """Write to it; what a dead one is told is lost."""
        if self.process.stdin is not None and not self.process.stdin.is_closing():
            self.process.stdin.write(line)

    def answered(self) -> None:
        """Let those who wait for its report go on."""
        if self.asked is not None and not self.asked.done():
            self.asked.set_result(None)
        self.asked = None


class Workers:
    """The worker processes as one data path.

    Args:
        settings: the router's sections of the configuration file.
    """

    def __init__(self, settings: RouterFile) -> None:
        self._settings = settings
        self._count = settings.router.workers
        self._memory = CapsMemory.create(self._count)
        self._members: dict[int, Member] = {}
        self._ended: Snapshot | None = None
        self._watches: list[asyncio.Task[None]] = []
        self._restarts = 0
        self._is_draining = False
        self._is_stopping = False
        self._started: asyncio.Future[None] | None = None
        self._news = News(settings.table, self._tell_all)
        self._keyring = Keyring(settings, clock.wall_s)
        self._sources = Sources(settings, list_instances(settings.pools), self._news, self._keyring)
        self.port = 0

    async def start(self) -> None:
        """Start every worker and wait until all serve.

        Raises:
            ListenError: the address cannot be listened on.
            WorkersError: a worker does not come up.
        """
        router = self._settings.router
        if router.listen is None:
            # An unshared binding finds another program on the port, which a shared one would join silently.
            PublicSocket(router, shared=False).sock.close()
        # Held for life, so that a port chosen by the system stays this router's.
        self._public = PublicSocket(router, shared=True)
        self.port = self._public.port
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        self._sources.start()
        self._watches = [loop.create_task(self._watch(worker)) for worker in range(self._count)]
        self._hunting = loop.create_task(self._hunt_hung())
        self._following = loop.create_task(self._keyring.watch(), name="certificates")
        for task in (*self._watches, self._hunting, self._following):
            task.add_done_callback(report_end)
        try:
            await asyncio.wait_for(self._started, START_S)
        except TimeoutError as error:
            raise WorkersError(f"not all workers serve within {START_S:g} s; see their messages") from error
        finally:
            if self.reporting() < self._count:
                await self._end()

    async def stop(self) -> None:
        """Let every worker drain, then end it; cancelled, it ends them at once."""
        self._is_draining = self._is_stopping = True
        self._public.remove()
        for member in self._members.values():
            _signal(member.process, signal.SIGTERM)
        try:
            await asyncio.wait(self._watches, timeout=self._settings.router.timeouts.drain_s + LEAVE_S)
        finally:
            await self._end()

    async def reload(self, settings: RouterFile) -> None:
        """Have every worker go by other settings from now on, and those that start later.

        Raises:
            SettingsError: a key of engines or tenants cannot be read; the old settings stay.
            CertificateError: a file of TLS cannot be used; the old settings stay.
        """
        await asyncio.to_thread(read_tenants, settings)
        read_engine_keys(settings.pools, os.environ)
        self._keyring.use(settings.pools)
        self._settings = settings
        await self._sources.stop()
        self._news.reconfigure(settings.table)
        self._tell_all(line_of(Settings(self._settings_json())))
        self._sources = Sources(settings, list_instances(settings.pools), self._news, self._keyring)
        self._sources.start()

    def _settings_json(self) -> str:
        """What workers go by: the settings with the port decided."""
        router = self._settings.router.model_copy(update={"port": self.port})
        return self._settings.model_copy(update={"router": router}).model_dump_json()

    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [member.process.pid for member in self._members.values()]

    def reporting(self) -> int:
        """How many workers have told that they serve."""
        return sum(member.report is not None for member in self._members.values())

    def drain(self) -> None:
        """Tell every worker to drain."""
        self._is_draining = True
        self._tell_all(line_of(Drain()))

    def is_draining(self) -> bool:
        """Whether `drain` or `stop` was called."""
        return self._is_draining

    async def snapshot(self) -> Snapshot:
        """Sum of what the workers report now, and of what ended workers had counted.

        A worker too busy to report in time counts with its last report.
        """
        waits = [self._ask_report(member) for member in self._members.values() if member.report is not None]
        if waits:
            await asyncio.wait(waits, timeout=REPORT_S)
        live = [_read(member.report) for member in self._members.values() if member.report is not None]
        past = self._ended
        if past is not None and live:
            live.append(_as_history(past, live[0]))
        elif past is not None:
            live = [past]
        whole = merge(live)
        whole.counters["worker_restarts"] = self._restarts
        add_counts(whole.table.refused, self._news.refused)
        return whole

    def _ask_report(self, member: Member) -> asyncio.Future[None]:
        if member.asked is None:
            member.asked = asyncio.get_running_loop().create_future()
            member.tell(line_of(Report()))
        return member.asked

    def _tell_all(self, line: bytes) -> None:
        for member in self._members.values():
            member.tell(line)

    async def _watch(self, worker: int) -> None:
        """Keep one worker running until stopped."""
        failures = 0
        while not self._is_stopping:
            began_s = clock.monotonic_s()
            try:
                end = f"exit code {await self._run(worker)}"
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                end = f"{type(error).__name__}: {error}"
            if self._is_stopping:
                return
            self._restarts += 1
            failures = 0 if clock.monotonic_s() - began_s > CALM_S else failures + 1
            if failures >= MAX_FALSE_STARTS and self._started is not None and not self._started.done():
                self._started.set_exception(WorkersError(f"worker {worker} does not start: {end}; see its messages"))
            delay_s = min(MAX_BACKOFF_S, 0.1 * 2.0**failures)
            log.error("worker ended", extra={"worker": worker, "reason": end, "restart_in_s": delay_s})
            await asyncio.sleep(delay_s)

    async def _run(self, worker: int) -> int:
        fds = (self._memory.fd, *self._memory.wake_fds, *self._listen_fds())
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "router.worker_process",
            stdin=PIPE,
            stdout=PIPE,
            limit=MAX_LINE_BYTES,
            pass_fds=fds,
        )
        member = self._members[worker] = Member(process)
        try:
            if self._is_stopping:
                process.kill()
            member.tell(self._first_lines(worker))
            await self._listen_to(member)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), LEAVE_S)
        finally:
            _signal(process, signal.SIGKILL)
            code = await process.wait()
            del self._members[worker]
            self._memory.forget(worker)
            self._retire(member)
        return code

    def _listen_fds(self) -> tuple[int, ...]:
        """A Unix socket cannot be bound by each worker, as a port can; it is handed to them."""
        return () if self._settings.router.listen is None else (self._public.sock.fileno(),)

    def _first_lines(self, worker: int) -> bytes:
        begin = Begin(
            settings=self._settings_json(),
            worker=worker,
            workers=self._count,
            log_level=logging.getLogger().getEffectiveLevel(),
            memory_fd=self._memory.fd,
            wake_fds=self._memory.wake_fds,
            listen_fd=next(iter(self._listen_fds()), None),
        )
        drain = line_of(Drain()) if self._is_draining else b""
        return line_of(begin) + self._news.catch_up(clock.wall_s()) + drain + line_of(Serve())

    async def _listen_to(self, member: Member) -> None:
        """Take reports until the worker's output ends; a line that its death cut short says nothing."""
        if member.process.stdout is None:
            raise RuntimeError("a worker has no pipe")
        async for line in member.process.stdout:
            if line.endswith(b"\n"):
                member.report = bytes(read_by_parent(line).snapshot)
                member.silent_s = 0.0
                member.answered()
                if self._started is not None and not self._started.done() and self.reporting() == self._count:
                    self._started.set_result(None)

    async def _hunt_hung(self) -> None:
        """Kill workers that are silent for too long. Time in which this process stood still does not count."""
        while True:
            await asyncio.sleep(LOOK_S)
            for worker, member in self._members.items():
                member.silent_s += LOOK_S
                if member.report is not None and member.silent_s > HANG_S:
                    log.error("worker hangs and is killed", extra={"worker": worker, "silent_s": member.silent_s})
                    _signal(member.process, signal.SIGKILL)

    def _retire(self, member: Member) -> None:
        """Keep what an ended worker had counted, so that no counter goes back."""
        member.answered()
        if member.report is None:
            return
        last = counts_of(_read(member.report))
        self._ended = last if self._ended is None else merge([self._ended, last])

    async def _end(self) -> None:
        """End everything that still runs, at once."""
        self._is_stopping = True
        for member in self._members.values():
            _signal(member.process, signal.SIGKILL)
        self._hunting.cancel()
        self._following.cancel()
        await self._sources.stop()
        await asyncio.gather(*self._watches, self._hunting, self._following, return_exceptions=True)
        self._public.sock.close()
        self._memory.close()


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _read(report: bytes) -> Snapshot:
    return msgspec.json.decode(report, type=Snapshot)


def _as_history(ended: Snapshot, live: Snapshot) -> Snapshot:
    """Counts of the past under the present's table."""
    return msgspec.structs.replace(ended, now_s=live.now_s, table=msgspec.structs.replace(live.table, refused={}))
