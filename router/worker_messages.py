"""What parent and worker processes say to each other: one JSON object a line, on the worker's standard streams. Pure.

The parent says `Begin`, then what it knows, then `Serve`; the worker now listens and says `Reported`, at once, at every
interval, and when asked, and `Doubted` where requests fail. The end of its standard input means that the parent is
gone.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from router.contract import InstanceId
from router.fleet import EngineLoad

MAX_LINE_BYTES = 64 << 20
"""Longest line either side reads: several times the largest table and the snapshot of the largest fleet."""


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Who a worker is: the first line.

    Attributes:
        settings: JSON of the settings, with the port decided.
        memory_fd, wake_fds: the descriptors of `router.shared_memory.SharedMemory`.
        epoch_s: of the steady clock of all processes.
        listen_fd: the descriptor of the Unix socket to listen on; None for a port, which each worker binds itself.
    """

    settings: str
    worker: int
    workers: int
    log_level: int
    memory_fd: int
    wake_fds: tuple[int, ...]
    epoch_s: float
    listen_fd: int | None = None


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """All that is known has been told: listen."""


class Settings(msgspec.Struct, frozen=True, tag="settings"):
    """Settings to obey from now on, as JSON; validated by the parent."""

    settings: str


class Instances(msgspec.Struct, frozen=True, tag="instances"):
    """The settings of the last `Begin` or `Settings` as JSON, with other found instances, to obey from now on."""

    settings: str


class Table(msgspec.Struct, frozen=True, tag="table"):
    """The allocation table that the source holds now, in the contract's form; for `ahead_s` see `router.ladder`."""

    table: msgspec.Raw
    ahead_s: float = 0.0


class TableConfirmed(msgspec.Struct, frozen=True, tag="table_confirmed"):
    """The source still holds the table of the last `Table`."""

    ahead_s: float = 0.0


class Rates(msgspec.Struct, frozen=True, tag="rates"):
    """The energy rates that the source holds now, in the contract's form."""

    rates: msgspec.Raw


class Probe(msgspec.Struct, frozen=True, array_like=True):
    """Result of one probe; `load` is None if the engine did not tell, `ok` if the load alone is told."""

    instance_id: InstanceId
    ok: bool | None
    load: EngineLoad | None


class Probes(msgspec.Struct, frozen=True, tag="probes"):
    """Results of the parent's probes since the last such message."""

    probes: tuple[Probe, ...]


class Share(msgspec.Struct, frozen=True, tag="share"):
    """The router's share of all caps."""

    share: float


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Report not ready, and close connections after their present answer."""


class Report(msgspec.Struct, frozen=True, tag="report"):
    """Send a `Reported` now."""


class Reported(msgspec.Struct, frozen=True, tag="reported"):
    """Counts and state of a worker: JSON of a `router.snapshot.Snapshot`, read only when somebody asks for it."""

    snapshot: msgspec.Raw


class Doubted(msgspec.Struct, frozen=True, tag="doubted"):
    """Requests of a worker to these instances have failed: the parent is to ask them."""

    instances: tuple[InstanceId, ...]


ToWorker: TypeAlias = (
    Begin | Serve | Settings | Instances | Table | TableConfirmed | Rates | Probes | Share | Drain | Report
)
FromWorker: TypeAlias = Reported | Doubted

_to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
_from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


def line_of(message: ToWorker | FromWorker) -> bytes:
    """A message as it is written, with the line's end."""
    return msgspec.json.encode(message) + b"\n"


def read_by_worker(line: bytes) -> ToWorker:
    """A line of the parent's.

    Raises:
        msgspec.DecodeError: it is none of the messages, or cut short.
    """
    return _to_worker.decode(line)


def read_by_parent(line: bytes) -> FromWorker:
    """A line of a worker's.

    Raises:
        msgspec.DecodeError: it is none of the messages, or cut short.
    """
    return _from_worker.decode(line)
