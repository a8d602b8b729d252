import contextlib

import pytest

from controller.clock import VirtualClock
from controller.errors import StoreError
from controller.loop.status import Status
from controller.model.derate import Derate
from controller.service.grid_side import opened_books, opened_desks
from tests.fakes import calls
from tests.fakes.controller_parts import NOW_S, ListRecorder, observation
from tests.fakes.service_frame import framed, proof_of


async def test_calls_and_the_meter_outlast_the_process(tmp_path):
    clock = VirtualClock(NOW_S)
    for life in range(2):
        async with framed(tmp_path, clock=clock) as (frame, _):
            with proof_of(frame) as proof, opened_books(frame, proof.recorder) as books:
                async with opened_desks(frame, books, proof) as desks:
                    if life == 0:
                        books.book.submit(calls.call("c1"), NOW_S)
                        for _ in range(90):
                            desks.meter.take(observation(clock.wall_s()))
                            clock.advance(1.0)
                    else:
                        assert [event.source for event in books.book.current(NOW_S + 91.0)] == ["operator"]
                if life == 1:
                    first_s = NOW_S - NOW_S % 60 + 60.0
                    [minute] = books.store.means(first_s, first_s + 60.0, 60.0)
                    assert minute.mean_w == pytest.approx(4000.0)


async def test_of_a_site_without_calls_its_own_limit_is_told(tmp_path):
    async with framed(tmp_path, import_limit_w=5000.0) as (frame, _):
        with proof_of(frame) as proof, opened_books(frame, proof.recorder) as books:
            async with opened_desks(frame, books, proof) as desks:
                desks.grid.take(Status(observation(), None, (), 0.0))
                now = desks.grid.status.limit.at(NOW_S)
                assert (now.limit_w, now.event) == (5000.0, None)
                assert desks.grid.status.clock == desks.hours.view


async def test_a_meter_store_that_cannot_be_opened_is_an_error(tmp_path):
    async with framed(tmp_path) as (frame, _):
        (tmp_path / "meter.sqlite").mkdir()
        with pytest.raises(StoreError), contextlib.ExitStack() as stack:
            stack.enter_context(opened_books(frame, ListRecorder()))


async def test_derates_outlast_the_process(tmp_path):
    derate = Derate("fans", 500.0, NOW_S, NOW_S + 3600.0, "a fan is out", NOW_S)
    for life in range(2):
        async with framed(tmp_path, clock=VirtualClock(NOW_S)) as (frame, _):
            with proof_of(frame) as proof, opened_books(frame, proof.recorder) as books:
                if life == 0:
                    books.derates.add(derate, NOW_S)
                assert books.derates.current(NOW_S) == (derate,)
