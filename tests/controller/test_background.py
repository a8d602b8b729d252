import asyncio
from random import Random

import pytest

from controller.background import Work, Works, in_background
from tests.fakes.fake_sse import until

FEED = Work.FEED


def at_once():
    """Works that begin again without a wait."""
    return Works(Random(1), first_s=0.0)


async def test_work_goes_on_beside_and_ends_with_what_it_is_beside():
    begun, ended = asyncio.Event(), []

    async def work():
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            ended.append("tidied up")

    async with in_background(work, FEED, works=at_once()):
        await begun.wait()
        assert not ended
    assert ended == ["tidied up"], "its end is waited for"


async def test_what_fails_is_told_counted_shown_and_begun_again(caplog):
    works, begun, failures = at_once(), asyncio.Event(), [ValueError("a fault"), KeyError("another")]

    async def work():
        if failures:
            raise failures.pop(0)
        begun.set()
        await asyncio.sleep(3600)

    async with in_background(work, FEED, "price", works=works):
        await begun.wait()
        (failing,) = works.failing
        assert (failing.work, failing.subject, failing.failures) == (FEED, "price", 2)
        assert failing.reason == "KeyError: 'another'"
    assert [(record.work, record.subject, record.failures) for record in caplog.records] == [
        ("feed", "price", 1),
        ("feed", "price", 2),
    ]
    assert str(caplog.records[0].exc_info[1]) == "a fault"
    assert works.failures == {FEED: 2}
    assert works.failing == (), "what has ended fails no more"


async def test_work_that_goes_on_after_a_failure_has_recovered(caplog):
    works, failures = Works(Random(1), first_s=0.0, sound_s=0.01), [ValueError("a fault")]

    async def work():
        if failures:
            raise failures.pop(0)
        await asyncio.sleep(3600)

    async with in_background(work, FEED, "price", works=works):
        await until(lambda: works.failures[FEED] == 1 and not works.failing)
    assert works.failures == {FEED: 1}


async def test_each_failure_in_a_row_is_waited_out_longer(monkeypatch):
    works, waits_s, sleep, is_enough = Works(Random(1)), [], asyncio.sleep, asyncio.Event()

    async def noted(delay_s):
        waits_s.append(delay_s)
        if len(waits_s) == 9:
            is_enough.set()
            await sleep(3600)

    monkeypatch.setattr("controller.background.asyncio.sleep", noted)

    async def work():
        raise ValueError("a fault")

    async with in_background(work, FEED, works=works):
        await is_enough.wait()
    longest_s = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits_s, longest_s, strict=True)), waits_s


async def test_what_fails_as_it_is_ended_is_told_and_not_begun_again(caplog):
    works, begun = at_once(), []

    async def work():
        begun.append(True)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ValueError("not tidied up") from None

    async with in_background(work, FEED, works=works):
        await asyncio.sleep(0)
    assert [str(record.exc_info[1]) for record in caplog.records] == ["not tidied up"]
    assert (len(begun), works.failing) == (1, ())


async def test_work_that_is_done_or_cancelled_is_no_failure(caplog):
    works, begun = at_once(), []

    async def work():
        begun.append(True)

    async with in_background(work, FEED, works=works):
        await asyncio.sleep(0.01)
    async with in_background(lambda: asyncio.sleep(3600), FEED, works=works):
        await asyncio.sleep(0)
    assert (caplog.records, begun, works.failures) == ([], [True], {})


async def test_a_failure_of_what_it_is_beside_ends_the_work():
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    async def beside():
        async with in_background(work, FEED, works=at_once()):
            await asyncio.sleep(0)
            raise KeyError("beside")

    with pytest.raises(KeyError):
        await beside()
    assert tasks[0].cancelled()
