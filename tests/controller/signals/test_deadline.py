import asyncio

from controller.signals.deadline import read_within


async def test_a_result_in_time_comes_as_it_is():
    async def soon():
        return 7

    assert await read_within(20.0, "meter", soon()) == 7


async def test_one_that_hangs_is_given_up():
    assert await read_within(0.01, "meter", asyncio.Event().wait()) == "no result within 0.01 s"


async def test_a_fault_is_told_and_logged_and_not_raised(caplog):
    async def broken():
        raise KeyError("power")

    assert await read_within(20.0, "meter", broken()) == "KeyError: 'power'"
    assert [(record.message, record.signal) for record in caplog.records] == [("signal failed", "meter")]
