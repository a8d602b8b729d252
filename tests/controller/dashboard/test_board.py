import asyncio
import json

import pytest

from controller.background import Failing, Work
from controller.dashboard import board as board_module
from controller.dashboard.board import Board, TooManySubscribers
from controller.lifecycle.diagnostics import Fallback
from controller.loop.status import Status
from controller.model.observation import Missing
from controller.signals.latency import Latency
from tests.fakes.controller_parts import NOW_S, decision, diagnostics, instance, observation, site

SITE = site()


def make_board() -> Board:
    return Board(SITE, "act", Latency, 15.0)


def status(second=0, made=None, **seen):
    return Status(observation(NOW_S + second, **seen), made, (), 1000.0 * second)


async def next_of(stream):
    async with asyncio.timeout(5):
        return json.loads(await anext(stream))


def test_history_as_columns_oldest_first():
    board = make_board()
    assert board.history() == {"pools": ["bf16", "int4"], "columns": {}}
    for second in range(3):
        board.take(status(second, instances=(instance("bf16-0", generation_tokens=100.0 * second),)))
    columns = board.history()["columns"]
    assert columns["now_s"] == [NOW_S, NOW_S + 1, NOW_S + 2]
    assert columns["measured_w"] == [4000.0] * 3
    assert columns["share_frac"][-1] == [1.0, None]
    assert columns["j_per_output_token"][-1] == pytest.approx(10.0)


def test_energy_per_token_is_not_known_while_power_is_not_measured():
    board, gone = make_board(), Missing("meter", "gone", NOW_S)
    for second in range(4):
        seen = {"site_power": gone} if second == 3 else {}
        board.take(status(second, instances=(instance("bf16-0", generation_tokens=100.0 * second),), **seen))
    assert board.history()["columns"]["j_per_output_token"][-2:] == [pytest.approx(10.0), None]


def test_history_is_bounded(monkeypatch):
    monkeypatch.setattr(board_module, "HISTORY_POINTS", 5)
    board = make_board()
    for second in range(9):
        board.take(status(second))
    assert board.history()["columns"]["now_s"] == [NOW_S + second for second in range(4, 9)]


def test_solver_figures_last_and_fallbacks_add_up_once_a_decision():
    board = make_board()
    fell = (Fallback("plan", "greedy", "late"), Fallback("dispatch", "greedy", "late"))
    one = decision(SITE, diagnostics=diagnostics(fallbacks=fell))
    two = decision(SITE, diagnostics=diagnostics(slow_solve_s=None, fallbacks=(Fallback("price", "default", "x"),)))
    for second, made in enumerate((one, one, two)):
        board.take(status(second, made))
    assert board.snapshot["solver"] == {"slow_ms": 120.0, "fast_ms": 4.0, "origin": "milp", "fallbacks": 1}


def test_tokens_served_stay_while_no_router_answers():
    board = make_board()
    board.take(status(0))
    board.take(status(1, router=Missing("routers", "gone", NOW_S)))
    assert board.snapshot["tokens"] == {"served": 18000.0, "refused": 2.0}


async def test_a_stream_begins_with_the_present_and_goes_on():
    board = make_board()
    board.take(status(0))
    stream = board.subscribe()
    assert (await next_of(stream))["now_s"] == NOW_S
    board.take(status(1))
    assert (await next_of(stream))["now_s"] == NOW_S + 1
    board.close()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_page_that_does_not_keep_up_is_dropped_and_others_are_not():
    board = make_board()
    board.take(status(0))
    slow, quick = board.subscribe(), board.subscribe()
    await next_of(slow)
    await next_of(quick)
    for second in range(1, 30):
        reading = asyncio.create_task(next_of(quick))
        await asyncio.sleep(0)
        board.take(status(second))
        assert (await reading)["now_s"] == NOW_S + second
        if second == 1:  # the slow one waits for its second snapshot, then never again
            await next_of(slow)
    with pytest.raises(StopAsyncIteration):
        await anext(slow)
    await quick.aclose()


async def test_the_number_of_pages_is_bounded_and_a_closed_one_makes_room(monkeypatch):
    monkeypatch.setattr(board_module, "MAX_SUBSCRIBERS", 1)
    board = make_board()
    board.take(status(0))
    first = board.subscribe()
    await next_of(first)
    with pytest.raises(TooManySubscribers):
        await anext(board.subscribe())
    await first.aclose()
    second = board.subscribe()
    await next_of(second)
    await second.aclose()


def test_background_work_that_fails_stands_on_the_ladder_until_it_has_recovered():
    failing = [Failing(Work.FEED, "price", "KeyError: 'x'", 3)]
    board = Board(SITE, "act", Latency, 15.0, background=lambda: tuple(failing))
    board.take(status())
    assert board.snapshot["ladder"][-1] == {
        "ladder": "background",
        "step": "feed",
        "reason": "KeyError: 'x'; begun again after 3 failures in a row",
        "subject": "price",
    }
    failing.clear()
    board.take(status(1))
    assert all(step["ladder"] != "background" for step in board.snapshot["ladder"])
