"""A worker process: obeys its parent's lines on standard input, and reports on standard output.

A worker whose standard input ends has lost its parent, and stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys

import msgspec
import uvloop

from router import contract, logs
from router.contract import AllocationTable
from router.contract_rates import decode_rates
from router.errors import RouterError
from router.runtime import calm_collector
from router.settings import FOUND, RouterFile
from router.shared_caps import SharedCaps
from router.shared_memory import FileLocks, SharedMemory
from router.shared_tenants import SharedTenants
from router.worker import Worker
from router.worker_messages import (
    MAX_LINE_BYTES,
    Begin,
    Doubted,
    Drain,
    Instances,
    Probes,
    Rates,
    Report,
    Reported,
    Serve,
    Settings,
    Share,
    Table,
    TableConfirmed,
    ToWorker,
    line_of,
    read_by_worker,
)

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 1.0
"""Time between reports that nobody asked for: a worker that is killed loses no more than this of its counts."""


class Obedience:
    """Does what the parent says.

    Args:
        begin: who this worker is.
    """

    def __init__(self, begin: Begin) -> None:
        settings = RouterFile.model_validate_json(begin.settings, context=FOUND)
        sock = None if begin.listen_fd is None else socket.socket(fileno=begin.listen_fd)
        memory = SharedMemory(begin.workers, begin.memory_fd, begin.wake_fds)
        locks = FileLocks(memory.fd)
        self.worker = Worker(
            settings,
            workers=begin.workers,
            sock=sock,
            book=SharedCaps(memory, begin.worker, locks),
            tenant_book=SharedTenants(memory, begin.worker, locks),
            epoch_s=begin.epoch_s,
        )
        self._wake_fd = begin.wake_fds[begin.worker]
        asyncio.get_running_loop().add_reader(self._wake_fd, self._woken)
        self._table: AllocationTable | None = None
        self._reporting: asyncio.Task[None] | None = None

    def _woken(self) -> None:
        os.eventfd_read(self._wake_fd)
        self.worker.dispatcher.woken()

    async def follow(self, lines: asyncio.StreamReader, answers: asyncio.WriteTransport) -> None:
        """Obey until the lines end."""
        async for line in lines:
            await self.obey(read_by_worker(line), answers)

    async def obey(self, message: ToWorker, answers: asyncio.WriteTransport) -> None:
        """Do what one message says."""
        self._hear(message, self.worker.gateway.steady_s())
        match message:
            case Settings() | Instances():
                await self._go_by(message)
            case Drain():
                self.worker.drain()
            case Serve():
                self.worker.on_doubt = lambda doubted: answers.write(line_of(Doubted(tuple(sorted(doubted)))))
                await self.worker.start()
                self._reporting = asyncio.get_running_loop().create_task(self._report_forever(answers))
            case Report():
                self._report(answers)

    def _hear(self, message: ToWorker, now_s: float) -> None:
        """Take what the parent has heard of others."""
        dispatcher = self.worker.dispatcher
        match message:
            case Probes(probes):
                for probe in probes:
                    dispatcher.probed(probe.instance_id, ok=probe.ok, load=probe.load, now_s=now_s)
            case Table(table, ahead_s):
                self._table = contract.decode(bytes(table))
                dispatcher.apply_table(self._table, now_s, ahead_s)
            case TableConfirmed(ahead_s) if self._table is not None:
                dispatcher.apply_table(self._table, now_s, ahead_s)
            case Rates(rates):
                dispatcher.apply_rates(decode_rates(bytes(rates)), now_s)
            case Share(share):
                dispatcher.apply_share(share, now_s)

    async def _go_by(self, told: Settings | Instances) -> None:
        """Obey other settings, or keep the old ones: what the parent could read may be gone at this moment."""
        settings = RouterFile.model_validate_json(told.settings, context=FOUND)
        try:
            if isinstance(told, Settings):
                await self.worker.reload(settings)
            else:
                self.worker.follow(settings)
        except RouterError as error:
            log.error("configuration refused; the old one stays", extra={"reason": str(error)})

    async def stop(self) -> None:
        """Drain and end."""
        await self.worker.stop()
        if self._reporting is not None:
            self._reporting.cancel()

    async def _report_forever(self, answers: asyncio.WriteTransport) -> None:
        while True:
            # A parent that reads nothing is spared a heap of old reports.
            if answers.get_write_buffer_size() == 0:
                self._report(answers)
            await asyncio.sleep(REPORT_INTERVAL_S)

    def _report(self, answers: asyncio.WriteTransport) -> None:
        answers.write(line_of(Reported(msgspec.Raw(msgspec.json.encode(self.worker.report())))))


async def work() -> None:
    """Be a worker until told to stop, by a signal or by the parent's end."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lines = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer)
    answers, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout.buffer)
    first = await lines.readline()
    if not first:
        return
    obedience = Obedience(_begin_of(first))
    following = loop.create_task(obedience.follow(lines, answers))
    following.add_done_callback(lambda _: stop.set())
    await stop.wait()
    await obedience.stop()
    following.cancel()
    # A fault in what was obeyed ends the process; the parent starts another.
    with contextlib.suppress(asyncio.CancelledError):
        await following


def _begin_of(line: bytes) -> Begin:
    begin = read_by_worker(line)
    if not isinstance(begin, Begin):
        raise TypeError(f"{type(begin).__name__} comes before Begin; workers are started by wattroute-router only")
    logs.to_stderr(begin.log_level)
    return begin


def main() -> None:
    """Entry point of a worker process."""
    # What is imported stays for life: the collector need not look at it again and again while requests wait.
    calm_collector()
    # A terminal that hangs up tells every process; what that means for the workers is the parent's to say.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        uvloop.run(work())
    except RouterError as error:
        log.critical("worker ends", extra={"reason": str(error)})
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
