"""Nothing waits for a writer, nothing grows without bound, and what is lost is counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pytest

from router.observe import batches
from router.observe.batches import Batches

SOON_S = 0.005


class Kept:
    """A writer that keeps, and stands still or fails when told."""

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.sizes: list[int] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.trouble: list[str] = []
        self.is_closed = False

    def write(self, batch: Sequence[int]) -> None:
        self.may_go.wait(10)
        if self.trouble:
            raise OSError(self.trouble.pop())
        self.pieces += batch
        self.sizes.append(len(batch))

    def close(self) -> None:
        self.is_closed = True


def test_everything_is_written_in_order_and_at_most_so_much_at_once() -> None:
    writer = Kept()
    out: Batches[int] = Batches("test", writer, every_s=SOON_S)
    for number in range(1000):
        out.put(number)
    out.close()
    assert writer.pieces == list(range(1000))
    assert max(writer.sizes) <= batches.MAX_BATCH
    assert (out.written, out.dropped, writer.is_closed) == (1000, 0, True)


def test_a_writer_that_stands_still_costs_only_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_WAITING", 100)
    writer = Kept()
    writer.may_go.clear()
    out: Batches[int] = Batches("test", writer, every_s=SOON_S)
    for number in range(1000):
        out.put(number)
    assert 1000 - 100 - batches.MAX_BATCH <= out.dropped <= 900
    writer.may_go.set()
    out.close()
    assert out.written + out.dropped == 1000
    assert writer.pieces[:100] == list(range(100))


def test_what_cannot_be_written_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    writer = Kept()
    writer.trouble = ["disk full", "disk full"]
    out: Batches[int] = Batches("test", writer, every_s=SOON_S)
    for number in range(3 * batches.MAX_BATCH):
        out.put(number)
    out.close()
    assert (out.dropped, out.written) == (2 * batches.MAX_BATCH, batches.MAX_BATCH)
    said = [(entry.message, vars(entry).get("reason")) for entry in caplog.records]
    assert said == [("observations are lost", "disk full"), ("observations are written again", None)]
