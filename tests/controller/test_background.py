import asyncio

import pytest

from controller.background import in_background


async def test_work_goes_on_beside_and_ends_with_what_it_is_beside():
    begun, ended = asyncio.Event(), []

    async def work():
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            ended.append("tidied up")

    async with in_background(work(), "a test"):
        await begun.wait()
        assert not ended
    assert ended == ["tidied up"], "its end is waited for"


async def test_what_fails_is_told_at_once_and_ends_nothing_else(caplog):
    async def work():
        raise ValueError("a fault")

    async with in_background(work(), "a test"):
        await asyncio.sleep(0.01)
        (record,) = caplog.records
        assert (record.work, str(record.exc_info[1])) == ("a test", "a fault")
    assert len(caplog.records) == 1, "it is told once"


async def test_what_fails_as_it_is_ended_is_told_too(caplog):
    async def work():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ValueError("not tidied up") from None

    async with in_background(work(), "a test"):
        await asyncio.sleep(0)
    assert [str(record.exc_info[1]) for record in caplog.records] == ["not tidied up"]


async def test_work_that_is_done_or_cancelled_is_no_failure(caplog):
    async def work():
        pass

    async with in_background(work(), "a test"):
        await asyncio.sleep(0.01)
    async with in_background(asyncio.sleep(3600), "a test"):
        await asyncio.sleep(0)
    assert caplog.records == []


async def test_a_failure_of_what_it_is_beside_ends_the_work():
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    async def beside():
        async with in_background(work(), "a test"):
            await asyncio.sleep(0)
            raise KeyError("beside")

    with pytest.raises(KeyError):
        await beside()
    assert tasks[0].cancelled()
