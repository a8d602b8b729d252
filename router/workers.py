"""Several worker processes on one public port: starting, watching and stopping them, and summing what they count.

The parent serves the admin port, probes the engines and follows the allocation's source for all workers
(`router.worker_news`). What is said between the processes is in `router.worker_messages`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import msgspec

from router import clock
from router.accounting import add_counts
from router.discovery.static import list_instances
from router.errors import WorkersError
from router.keep_up import kept_up, report_end
from router.settings import RouterFile
from router.shared_memory import SharedMemory
from router.snapshot import Snapshot, counts_of, merge
from router.sources import Sources
from router.tenants.engine_keys import EngineKeys, read_engine_keys
from router.tenants.source import read_tenants
from router.told_share import ToldShare
from router.transport.keyring import Keyring
from router.transport.listening import PublicSocket
from router.worker_child import LEAVE_S, Child
from router.worker_messages import Begin, Drain, Instances, Serve, Settings, line_of
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
CALM_S = 30.0
"""A worker that lived this long is restarted at once when it dies."""
MAX_BACKOFF_S = 10.0


class Workers:
    """The worker processes as one data path.

    Args:
        settings: the router's sections of the configuration file.

    Raises:
        WorkersError: this system cannot do it.
        SettingsError: a key of engines cannot be read.
    """

    def __init__(self, settings: RouterFile) -> None:
        if not hasattr(os, "memfd_create"):
            raise WorkersError("several workers need Linux; set router.workers to 1")
        self._settings = settings
        self._count = settings.router.workers
        self._memory = SharedMemory.create(self._count)
        self._children: dict[int, Child] = {}
        self._ended: Snapshot | None = None
        self._watches: list[asyncio.Task[None]] = []
        self._restarts = 0
        self._is_draining = False
        self._is_stopping = False
        self._started: asyncio.Future[None] | None = None
        self._epoch_s = clock.epoch_s()
        self._steady_s = clock.steady(self._epoch_s)
        self._news = News(settings.table, self._tell_all)
        self._keyring = Keyring(settings, clock.wall_s)
        self._told_share = ToldShare(self.apply_share if settings.table.share_caps else None)
        self._sources = self._sources_of(settings, read_engine_keys(settings.pools, os.environ))
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
        self._hunting = kept_up("look for workers that hang", self._hunt_hung)
        self._following = kept_up("certificates", self._keyring.watch)
        for task in self._watches:
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
        for child in self._children.values():
            child.signal(signal.SIGTERM)
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
        keys = read_engine_keys(settings.pools, os.environ)
        self._keyring.use(settings.pools)
        self._settings = settings
        await self._sources.stop()
        self._news.reconfigure(settings.table)
        self._tell_all(line_of(Settings(self._settings_json())))
        self._sources = self._sources_of(settings, keys)
        self._sources.start()

    def follow(self, settings: RouterFile) -> None:
        """Have every worker go by these instances from now on; all else is as in the settings it has.

        Raises:
            CertificateError: a file of TLS cannot be used; the old instances stay.
        """
        self._keyring.use(settings.pools)
        before, now = set(list_instances(self._settings.pools)), list_instances(settings.pools)
        self._settings = settings
        self._news.keep({spec.instance_id for spec in now if spec in before})
        self._tell_all(line_of(Instances(self._settings_json())))
        self._sources.follow(now)

    def _sources_of(self, settings: RouterFile, keys: EngineKeys) -> Sources:
        instances, hear = list_instances(settings.pools), self._told_share.hear
        return Sources(settings, instances, self._news, self._keyring, keys, self._steady_s, hear)

    def _settings_json(self) -> str:
        """What workers go by: the settings with the port decided."""
        router = self._settings.router.model_copy(update={"port": self.port})
        return self._settings.model_copy(update={"router": router}).model_dump_json()

    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [child.pid for child in self._children.values()]

    def reporting(self) -> int:
        """How many workers have told that they serve."""
        return sum(child.serves for child in self._children.values())

    def apply_share(self, share: float) -> None:
        """Tell every worker to go by this share of all caps, and those that start later."""
        self._news.apply_share(share)

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
        waits = [child.ask() for child in self._children.values() if child.serves]
        if waits:
            await asyncio.wait(waits, timeout=REPORT_S)
        live = [report for child in self._children.values() if (report := child.report) is not None]
        past = self._ended
        if past is not None and live:
            live.append(_as_history(past, live[0]))
        elif past is not None:
            live = [past]
        whole = merge(live)
        whole.counters["worker_restarts"] = self._restarts
        whole.loads = self._sources.loads_view()
        whole.redis = self._sources.redis_view()
        whole.gauges |= self._told_share.gauges()
        add_counts(whole.table.refused, self._news.refused)
        return whole

    def _tell_all(self, line: bytes) -> None:
        for child in self._children.values():
            child.tell(line)

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
        child = await Child.start((self._memory.fd, *self._memory.wake_fds, *self._listen_fds()))
        self._children[worker] = child
        try:
            if self._is_stopping:
                child.signal(signal.SIGKILL)
            child.tell(self._first_lines(worker))
            await child.listen(self._on_report, lambda instances: self._sources.doubt(instances))
        finally:
            code = await child.end()
            del self._children[worker]
            self._memory.forget(worker)
            self._retire(child)
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
            epoch_s=self._epoch_s,
            listen_fd=next(iter(self._listen_fds()), None),
        )
        drain = line_of(Drain()) if self._is_draining else b""
        return line_of(begin) + self._news.catch_up(self._steady_s()) + drain + line_of(Serve())

    def _on_report(self) -> None:
        if self._started is not None and not self._started.done() and self.reporting() == self._count:
            self._started.set_result(None)

    async def _hunt_hung(self) -> None:
        """Kill workers that are silent for too long. Time in which this process stood still does not count."""
        while True:
            await asyncio.sleep(LOOK_S)
            for worker, child in self._children.items():
                child.silent_s += LOOK_S
                if child.silent_s > (HANG_S if child.serves else START_S):
                    log.error("worker hangs and is killed", extra={"worker": worker, "silent_s": child.silent_s})
                    child.signal(signal.SIGKILL)

    def _retire(self, child: Child) -> None:
        """Keep what an ended worker had counted, so that no counter goes back."""
        if child.report is not None:
            last = counts_of(child.report)
            self._ended = last if self._ended is None else merge([self._ended, last])

    async def _end(self) -> None:
        """End everything that still runs, at once."""
        self._is_stopping = True
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        self._hunting.cancel()
        self._following.cancel()
        await self._sources.stop()
        await asyncio.gather(*self._watches, self._hunting, self._following, return_exceptions=True)
        self._public.sock.close()
        self._memory.close()


def _as_history(ended: Snapshot, live: Snapshot) -> Snapshot:
    """Counts of the past under the present's table."""
    return msgspec.structs.replace(ended, now_s=live.now_s, table=msgspec.structs.replace(live.table, refused={}))
