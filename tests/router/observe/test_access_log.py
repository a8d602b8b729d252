"""Lines of the access log: what is in them, which are drawn, and where they go."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from router.observe.access_log import PIECE_BYTES, AccessLog, LineWriter, line_of, pieces_of
from router.settings import AccessLogSettings
from tests.fakes.records import record


def test_a_line_tells_all_that_is_known() -> None:
    line = line_of(record(client_address="10.1.2.3"))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250000Z",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "outcome": "ok",
        "class": "standard",
        "tenant": "team-a",
        "pool": "fp8",
        "instance": "fp8-0",
        "precision": "fp8",
        "degraded": True,
        "sequence": 12,
        "attempts": 2,
        "bytes_in": 321,
        "bytes_out": 4567,
        "input_tokens": 10,
        "output_tokens": 50,
        "ttft_ms": 125.0,
        "overhead_ms": 2.0,
        "duration_ms": 1500.0,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "request_id": "abc",
        "client": "10.1.2.3",
    }


def test_what_is_not_known_is_left_out() -> None:
    line = json.loads(line_of(record(caller=None, context=None, tenant=None, ttft_s=None, sent_s=None)))
    assert not line.keys() & {"trace_id", "tenant", "ttft_ms", "overhead_ms", "reason", "client"}


def test_a_callers_trace_is_told_where_the_router_traces_nothing() -> None:
    assert json.loads(line_of(record(context=None)))["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_what_a_client_writes_cannot_break_or_flood_the_log() -> None:
    line = line_of(record(request_id='a"\n\r\x1b' + "x" * 9000, path="/" + "é" * 9000))
    assert line.count(b"\n") == 1
    assert len(line) < 2000


def drawn(sample_frac: float, number: int, **over: object) -> int:
    lines: list[bytes] = []
    log = AccessLog(AccessLogSettings(sample_frac=sample_frac), rng=random.Random(3), put=lines.append)
    for _ in range(number):
        log.served(record(**over))
    return len(lines)


def test_requests_are_drawn_and_failures_always_told() -> None:
    assert drawn(1.0, 50) == 50
    assert drawn(0.0, 50) == 0
    assert 150 < drawn(0.1, 2000) < 250
    assert drawn(0.0, 50, status=503, outcome="refused") == 50
    assert drawn(0.0, 50, outcome="client_gone") == 50


def test_lines_are_joined_but_never_split_over_pieces() -> None:
    lines = [b"x" * size + b"\n" for size in (10, 5000, 2000, 2000, 2000, 7)]
    pieces = pieces_of(lines)
    assert b"".join(pieces) == b"".join(lines)
    assert all(len(piece) <= PIECE_BYTES or piece.count(b"\n") == 1 for piece in pieces)
    assert len(pieces) == 4
    assert pieces_of([]) == []


def test_a_file_is_appended_to_and_begun_anew_when_it_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    writer = LineWriter(path)
    writer.write([b"one\n"])
    path.rename(tmp_path / "access.log.1")
    writer.write([b"two\n"])
    writer.write([b"three\n"])
    writer.close()
    assert (tmp_path / "access.log.1").read_text() == "before\none\n"
    assert path.read_text() == "two\nthree\n"
    assert path.stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_opened_is_an_error_of_the_batch(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "absent" / "access.log")
    with pytest.raises(OSError, match="absent"):
        writer.write([b"one\n"])
    (tmp_path / "absent").mkdir()
    writer.write([b"two\n"])
    writer.close()
    assert (tmp_path / "absent" / "access.log").read_text() == "two\n"


def test_standard_error_is_written_to_whole() -> None:
    show = (
        "from router.observe.access_log import lines_to\n"
        "out = lines_to(None)\n"
        "for n in range(500): out.put(b'%0500d\\n' % n)\n"
        "out.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", show], stderr=subprocess.PIPE, check=True, timeout=60)
    assert done.stderr.split() == [b"%0500d" % number for number in range(500)]


def test_standard_error_stays_open() -> None:
    writer = LineWriter(None)
    writer.close()
    os.fstat(sys.stderr.fileno())
