import aiohttp
import pytest
from aiohttp import web

from controller.signals.supervisor import SupervisorSource
from tests.fakes.http_stub import closed_url, http_stub


async def asked(answer, **options):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/instances", answer)
        source = SupervisorSource(session, f"{stub.url}/", 0.5, **options)
        return await source.read(), source.faults


async def test_states_are_told_by_name():
    entries = [{"instance_id": "a-0", "state": "OFF", "fault": None}, {"instance_id": "a-1", "state": "starting"}]
    assert await asked(entries) == ({"a-0": "off", "a-1": "starting"}, ())


async def test_what_does_not_run_is_a_fault_and_as_many_are_told_as_can_be_read():
    entries = [{"instance_id": f"a-{n}", "state": "failed", "fault": "given up" + "!" * 1000} for n in range(9)]
    states, faults = await asked(entries)
    assert len(states) == 9
    assert len(faults) == 5
    assert faults[0].startswith("a-0: given up!")
    assert {len(fault) for fault in faults} == {300}


@pytest.mark.parametrize("answer", [404, 500, "no JSON", {"error": "?"}, "[" * 5000])
async def test_one_that_answers_otherwise_is_a_fault(answer):
    states, faults = await asked(answer)
    assert states == {}
    assert faults[0].endswith("nothing starts or stops engines")


async def test_entries_without_a_name_or_a_state_are_left_out():
    assert (await asked([1, {}, {"instance_id": "a-0"}, {"instance_id": "a-1", "state": "off"}]))[0] == {"a-1": "off"}


async def test_one_that_is_not_there_is_a_fault_until_it_is():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = SupervisorSource(session, closed_url(), 0.5)
        assert await source.read() == {}
        assert "cannot connect" in source.faults[0]
        stub.set("/instances", [])
        source._url = f"{stub.url}/instances"
        assert await source.read() == {}
        assert source.faults == ()


async def test_a_token_is_shown_and_one_that_is_wrong_is_told_with_the_setting():
    async def guarded(request: web.Request) -> web.Response:
        return web.json_response([], status=200 if request.headers.get("Authorization") == "Bearer t" else 401)

    assert await asked(guarded, headers={"Authorization": "Bearer t"}) == ({}, ())
    _, faults = await asked(guarded)
    assert "status 401: set controller.supervisor_token_file to its token" in faults[0]
