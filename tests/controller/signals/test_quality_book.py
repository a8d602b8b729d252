"""Bars are recorded, told, kept over restarts and lifted by operators."""

from __future__ import annotations

import logging

import pytest

from controller.model.observation import InstanceObservation, InstanceState
from controller.quality.answers import Answer
from controller.quality.canary import Errand
from controller.signals.canary_setup import CanarySetup
from controller.signals.quality_book import RECORD_KIND, RENEW_S, BarRefused, QualityBook
from router.contract import Precision
from tests.fakes.controller_parts import NOW_S, ListRecorder, pool, site

SITE = site(
    pool("bf16", ("http://127.0.0.1:1", "http://127.0.0.1:2")),
    pool("fp8", ("http://127.0.0.1:3",), Precision.FP8),
    pool("int4", ("http://127.0.0.1:4",), Precision.INT4),
)


def _book(recorder: ListRecorder) -> QualityBook:
    return CanarySetup().book(SITE, recorder)


def test_a_bar_is_recorded_and_outlives_the_process(caplog: pytest.LogCaptureFixture) -> None:
    recorder = ListRecorder()
    book = _book(recorder)
    with caplog.at_level(logging.INFO):
        book.bar("int4", "new weights", NOW_S)
        book.bar("bf16-1", "odd", NOW_S)
        book.lift("bf16-1", NOW_S + 1)
    assert [row["action"] for row in recorder.of(RECORD_KIND)] == ["barred", "barred", "readmitted"]
    assert "pool or instance barred" in caplog.messages
    later = _book(ListRecorder())
    assert later.restore(recorder.of(RECORD_KIND)) == 1
    assert later.barred(NOW_S) == book.barred(NOW_S)


def test_a_bar_that_lasts_is_recorded_again_each_day() -> None:
    recorder = ListRecorder()
    book = _book(recorder)
    book.bar("int4", "", NOW_S)
    for hours in range(49):
        book.barred(NOW_S + hours * 3600.0)
    assert [row["action"] for row in recorder.of(RECORD_KIND)] == ["barred", "kept", "kept"]
    assert RENEW_S == 86_400.0


def test_what_cannot_be_barred_says_why() -> None:
    book = _book(ListRecorder())
    with pytest.raises(BarRefused, match="no pool and no instance is called 'fp9'"):
        book.bar("fp9", "", NOW_S)
    book.bar("int4", "x" * 1000, NOW_S)
    assert len(book.barred(NOW_S)[0].reason) <= 200
    with pytest.raises(BarRefused) as raised:
        book.bar("int4", "", NOW_S)
    assert raised.value.is_conflict
    assert book.lift("bf16", NOW_S) is None


def test_a_full_disk_does_not_let_nonsense_serve(caplog: pytest.LogCaptureFixture) -> None:
    recorder = ListRecorder()
    recorder.is_failing = True
    book = _book(recorder)
    book.bar("int4", "", NOW_S)
    assert [bar.name for bar in book.barred(NOW_S)] == ["int4"]
    assert "bar not recorded" in caplog.messages


def test_a_doubted_reference_is_told_once_and_forgotten_as_an_operator_bars_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book = _book(ListRecorder())
    instances = [
        InstanceObservation(instance.instance_id, each.pool_id, InstanceState.SERVING, 0.0, 0.0)
        for each in SITE.pools
        for instance in each.instances
    ]

    def ask(times: int) -> None:
        for _ in range(times):
            errand = book.canaries.next(instances)
            if isinstance(errand, Errand):
                mine = errand.target.partition("-")[0]
                reference = None if errand.reference is None else Answer("nonsense", ("nonsense",))
                book.take(errand, Answer("nonsense" if mine == "bf16" else "right", ("one",)), reference, NOW_S)

    ask(300)
    assert book.report().is_reference_doubted
    assert book.barred(NOW_S) == ()
    assert caplog.messages.count("reference doubted") == 1
    assert "POST /v1/quality/barred/NAME" in next(r.reason for r in caplog.records if r.message == "reference doubted")
    book.bar("bf16", "nonsense", NOW_S)
    assert not book.report().is_reference_doubted
    assert "reference not doubted any more" in caplog.messages


def test_bars_of_another_controller_take_the_place_of_ours_and_are_recorded() -> None:
    theirs, recorder = _book(ListRecorder()), ListRecorder()
    ours = _book(recorder)
    theirs.bar("int4", "odd", NOW_S)
    ours.bar("bf16", "stale", NOW_S)
    ours.adopt(theirs.barred(NOW_S), NOW_S + 1)
    assert [bar.name for bar in ours.barred(NOW_S + 1)] == ["int4"]
    told = [(record["action"], record["barred"]["name"]) for record in recorder.of(RECORD_KIND)]
    assert told == [("barred", "bf16"), ("readmitted", "bf16"), ("barred", "int4")]
    ours.adopt(theirs.barred(NOW_S), NOW_S + 2)
    assert len(recorder.of(RECORD_KIND)) == 3
