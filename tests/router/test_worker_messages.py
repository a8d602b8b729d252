"""Lines between parent and workers."""

from __future__ import annotations

import msgspec
import pytest

from router.contract import InstanceId
from router.fleet import EngineLoad
from router.worker_messages import (
    Begin,
    Drain,
    FromWorker,
    Instances,
    Probe,
    Probes,
    Report,
    Reported,
    Serve,
    Table,
    TableConfirmed,
    ToWorker,
    line_of,
    read_by_parent,
    read_by_worker,
)

LOAD = EngineLoad(running=3, waiting=1, kv_cache_usage_frac=0.25, awake=None)
TO_WORKER: list[ToWorker] = [
    Begin(settings='{"a":\n1}', worker=1, workers=4, log_level=20, memory_fd=9, wake_fds=(10, 11, 12, 13), epoch_s=1e9),
    Serve(),
    Instances(settings='{"a":\n1}'),
    Table(msgspec.Raw(b'{"sequence":7}'), ahead_s=-7200.5),
    TableConfirmed(ahead_s=3.0),
    Probes((Probe(InstanceId("bf16-0"), True, LOAD), Probe(InstanceId("bf16-1"), False, None))),
    Drain(),
    Report(),
]


@pytest.mark.parametrize("message", TO_WORKER, ids=lambda message: type(message).__name__)
def test_a_worker_reads_what_the_parent_wrote(message: ToWorker) -> None:
    line = line_of(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert read_by_worker(line) == message


def test_the_parent_reads_what_a_worker_wrote() -> None:
    message: FromWorker = Reported(msgspec.Raw(b'{"now_s":1.5}'))
    read = read_by_parent(line_of(message))
    assert bytes(read.snapshot) == b'{"now_s":1.5}'


@pytest.mark.parametrize("line", [b"", b"drain\n", b'{"type":"dance"}\n', b'{"type":"probes","probes":[["a"]]}\n'])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_by_worker(line)


def test_a_report_cut_short_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_by_parent(line_of(Reported(msgspec.Raw(b'{"now_s":1.5}')))[:-5])


def test_messages_of_the_other_direction_are_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_by_parent(line_of(Drain()))
