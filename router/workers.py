"""Several worker processes on one public port: starting, watching and stopping them, and summing what they count.

The parent serves the admin port. It starts each worker with its settings on standard input, and reads from its
standard output one snapshot for each line that asks for one. A worker whose standard input ends has lost its parent,
and stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from typing import Any

import msgspec
import uvloop

from router import clock, logs
from router.settings import RouterFile
from router.snapshot import Snapshot, merge
from router.worker import Worker, bind

log = logging.getLogger(__name__)

REPORT_S = 0.5
"""Longest wait for the workers' reports."""
START_S = 60.0
"""Longest wait for all workers' first snapshots."""
MAX_LINE_BYTES = 16 << 20
CALM_S = 30.0
"""A worker that lived this long is restarted at once when it dies."""
MAX_BACKOFF_S = 10.0


class Task(msgspec.Struct):
    """What a worker is told on its standard input.

    Attributes:
        settings: JSON of the settings, with the port decided.
    """

    settings: str
    worker: int
    workers: int
    log_level: int


class Workers:
    """The worker processes as one data path.

    Args:
        settings: the router's sections of the configuration file.
    """

    def __init__(self, settings: RouterFile) -> None:
        self._settings = settings
        self._count = settings.router.workers
        self._latest: dict[int, Snapshot] = {}
        self._reported: dict[int, asyncio.Future[None]] = {}
        self._ended: Snapshot | None = None
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._watches: list[asyncio.Task[None]] = []
        self._is_draining = False
        self._is_stopping = False
        self._all_report = asyncio.Event()
        self.port = 0

    async def start(self) -> None:
        """Start every worker and wait until all serve.

        Raises:
            ListenError: the address cannot be listened on.
            TimeoutError: a worker does not come up.
        """
        router = self._settings.router
        # A first, unshared binding finds another program on the port, which a shared one would join silently.
        bind(router.host, router.port, shared=False).close()
        # The second one is held for life, so that a port chosen by the system stays this router's.
        self._held = bind(router.host, router.port, shared=True)
        self.port = self._held.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._watches = [loop.create_task(self._watch(worker)) for worker in range(self._count)]
        await asyncio.wait_for(self._all_report.wait(), START_S)

    async def stop(self) -> None:
        """Let every worker drain, then end it."""
        self._is_draining = self._is_stopping = True
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*self._watches, return_exceptions=True)
        self._held.close()

    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [process.pid for process in self._processes.values()]

    def reporting(self) -> int:
        """How many workers have told that they serve."""
        return len(self._latest)

    def drain(self) -> None:
        """Tell every worker to drain."""
        self._is_draining = True
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.write(b"drain\n")

    def is_draining(self) -> bool:
        """Whether `drain` or `stop` was called."""
        return self._is_draining

    async def snapshot(self) -> Snapshot:
        """Sum of what the workers report now, and of what ended workers had counted.

        A worker too busy to report in time counts with its last report.
        """
        waits = [self._ask_report(worker, process) for worker, process in self._processes.items()]
        if waits:
            await asyncio.wait(waits, timeout=REPORT_S)
        live = list(self._latest.values())
        if self._ended is None:
            return merge(live)
        if not live:
            return self._ended
        return merge([*live, _as_history(self._ended, live[0])])

    def _ask_report(self, worker: int, process: asyncio.subprocess.Process) -> asyncio.Future[None]:
        reported = self._reported.get(worker)
        if reported is None:
            reported = self._reported[worker] = asyncio.get_running_loop().create_future()
            if process.stdin is not None:
                process.stdin.write(b"report\n")
        return reported

    def _take_report(self, worker: int, line: bytes) -> None:
        self._latest[worker] = msgspec.json.decode(line, type=Snapshot)
        reported = self._reported.pop(worker, None)
        if reported is not None:
            reported.set_result(None)
        if len(self._latest) == self._count:
            self._all_report.set()

    async def _watch(self, worker: int) -> None:
        failures = 0
        while not self._is_stopping:
            began_s = clock.monotonic_s()
            code = await self._run(worker)
            if self._is_stopping:
                return
            failures = 0 if clock.monotonic_s() - began_s > CALM_S else failures + 1
            delay_s = min(MAX_BACKOFF_S, 0.1 * 2.0**failures)
            log.error("worker ended", extra={"worker": worker, "exit_code": code, "restart_in_s": delay_s})
            await asyncio.sleep(delay_s)

    async def _run(self, worker: int) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "router.workers",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
        )
        self._processes[worker] = process
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a worker has no pipes")
        router = self._settings.router.model_copy(update={"port": self.port})
        settings = self._settings.model_copy(update={"router": router}).model_dump_json()
        task = Task(settings, worker, self._count, logging.getLogger().getEffectiveLevel())
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        async for line in process.stdout:
            self._take_report(worker, line)
        code = await process.wait()
        del self._processes[worker]
        self._retire(worker)
        return code

    def _retire(self, worker: int) -> None:
        """Keep what an ended worker had counted, so that no counter goes back."""
        reported = self._reported.pop(worker, None)
        if reported is not None:
            reported.set_result(None)
        last = self._latest.pop(worker, None)
        if last is None:
            return
        last.instances = []
        last.ready = False
        for counts in last.classes:
            counts.in_flight = counts.queued = 0
        self._ended = last if self._ended is None else merge([self._ended, last])


def _as_history(ended: Snapshot, live: Snapshot) -> Snapshot:
    """Counts of the past under the present's table."""
    return msgspec.structs.replace(ended, now_s=live.now_s, table=msgspec.structs.replace(live.table, refused={}))


async def work(task: Task) -> None:
    """Be a worker until told to stop."""
    worker = Worker(RouterFile.model_validate_json(task.settings), worker=task.worker, workers=task.workers)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await worker.start()
    listening = loop.create_task(_obey(worker, stop))
    await stop.wait()
    await worker.stop()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def _obey(worker: Worker, stop: asyncio.Event) -> None:
    """Do what the parent asks for on standard input; report once unasked, to say that the worker serves."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    pipe, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout.buffer)
    pipe.write(_report(worker))
    async for line in reader:
        if line == b"drain\n":
            worker.drain()
        elif line == b"report\n":
            pipe.write(_report(worker))
    stop.set()


def _report(worker: Worker) -> bytes:
    return msgspec.json.encode(worker.report()) + b"\n"


def main() -> None:
    """Entry point of a worker process."""
    line: Any = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    task = msgspec.json.decode(line, type=Task)
    logs.to_stderr(task.log_level)
    gc.freeze()
    uvloop.run(work(task))


if __name__ == "__main__":
    main()
