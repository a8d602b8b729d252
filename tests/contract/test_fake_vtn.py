"""The fake VTN keeps to the specification's field tables and rules, as far as a VEN can see."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from controller.errors import VtnError
from tests.fakes.http_stub import http_stub
from tests.fakes.vtn.client import client_of
from tests.fakes.vtn.server import fake_vtn, interval
from tests.fakes.vtn.tables import METADATA, OBJECT_TYPE, known

VERSIONS = ("3.1.0", "3.0.1")


async def logged_in(vtn, session, client_id="ven-1"):
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": vtn.clients[client_id][0]}
    async with session.post(f"{vtn.url}/auth/token", data=form) as answer:
        body = await answer.json()
        assert body["token_type"] == "Bearer"
        assert set(body) <= {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    return {"Authorization": f"Bearer {body['access_token']}"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_it_sends_has_the_metadata_and_no_field_that_the_tables_do_not_have(tmp_path, version):
    async with (
        fake_vtn(version) as vtn,
        client_of(vtn, tmp_path) as ven,
        client_of(vtn, tmp_path, client_id="bl-1") as utility,
    ):
        program = await utility.post("/programs", {"programName": "shed"})
        event = {"programID": program["id"], "priority": 0, "intervals": [interval(0, "SIMPLE", 1)]}
        made = {"programs": program, "events": await utility.post("/events", event)}
        report = {"eventID": made["events"]["id"], "clientName": "site", "resources": []}
        made["reports"] = await ven.post(
            "/reports", report | ({"programID": program["id"]} if version != "3.1.0" else {})
        )
        kind = {"objectType": "VEN_VEN_REQUEST"} if version == "3.1.0" else {}
        made["vens"] = await ven.post("/vens", kind | {"venName": "site"})
        at = "/resources" if version == "3.1.0" else f"/vens/{made['vens']['id']}/resources"
        more = {"objectType": "VEN_RESOURCE_REQUEST", "venID": made["vens"]["id"]} if version == "3.1.0" else {}
        made["resources"] = await ven.post(at, more | {"resourceName": "hall"})
        for name, sent in made.items():
            assert set(sent) >= METADATA, name
            assert set(sent) <= known(version, name), name
            assert sent["objectType"] == OBJECT_TYPE[name]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("body", [{}, [], {"programID": "program-0", "intervals": [{"id": 0}]}])
async def test_bodies_without_required_fields_are_400_with_a_problem(tmp_path, version, body):
    async with fake_vtn(version) as vtn, aiohttp.ClientSession() as session:
        vtn.add_program()
        headers = await logged_in(vtn, session, "bl-1")
        async with session.post(f"{vtn.url}/events", json=body, headers=headers) as answer:
            assert answer.status == 400
            problem = json.loads(await answer.read())
            assert set(problem) == {"title", "status", "detail"}
            assert problem["status"] == 400


async def test_targets_of_the_other_version_are_400(tmp_path):
    async with fake_vtn("3.0.1") as vtn, client_of(vtn, tmp_path, client_id="bl-1") as utility:
        program = vtn.add_program()
        with pytest.raises(VtnError, match=r"targets of 3\.0\.1 are each an object"):
            await utility.post("/events", {"programID": program, "intervals": [], "targets": ["group"]})


async def test_a_page_holds_50_and_more_may_not_be_asked_for(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as ven:
        program = vtn.add_program()
        for _ in range(60):
            vtn.add_event(program)
        assert len(await ven.get("/events")) == 50
        assert len(await ven.get("/events", {"skip": 50})) == 10
        with pytest.raises(VtnError, match="400"):
            await ven.get("/events", {"limit": 51})


async def test_a_targeted_event_is_hidden_from_who_was_not_granted_or_does_not_ask(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as ven:
        program = vtn.add_program()
        hidden = vtn.add_event(program, targets=["group-1"])
        asked = (("targets", "group-1"),)
        assert await ven.get("/events", asked) == []
        vtn.granted["ven-1"] = {"group-1"}
        assert [event["id"] for event in await ven.get("/events", asked)] == [hidden]
        assert await ven.get("/events") == []
        assert (await ven.get(f"/events/{hidden}"))["id"] == hidden


async def test_a_ven_may_neither_write_events_nor_grant_itself_targets(tmp_path):
    async with fake_vtn() as vtn, client_of(vtn, tmp_path) as ven:
        with pytest.raises(VtnError, match="403"):
            await ven.post("/events", {"programID": "program-0"})
        with pytest.raises(VtnError, match="may not grant itself targets"):
            await ven.post("/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "site", "targets": ["a"]})


async def test_an_event_with_reports_cannot_be_deleted(tmp_path):
    async with (
        fake_vtn() as vtn,
        client_of(vtn, tmp_path) as ven,
        client_of(vtn, tmp_path, client_id="bl-1") as utility,
    ):
        event = vtn.add_event(vtn.add_program())
        await ven.post("/reports", {"eventID": event, "clientName": "site", "resources": []})
        with pytest.raises(VtnError, match="409"):
            await utility.delete(f"/events/{event}")


async def test_tokens_are_asked_for_by_a_form_and_run_out(tmp_path):
    async with fake_vtn() as vtn, aiohttp.ClientSession() as session:
        async with session.post(f"{vtn.url}/auth/token", json={}) as answer:
            assert (answer.status, await answer.json()) == (400, {"error": "invalid_request"})
        vtn.token_life_s = 0
        headers = await logged_in(vtn, session)
        async with session.get(f"{vtn.url}/events", headers=headers) as answer:
            assert answer.status == 401


async def test_changes_are_told_to_callbacks_that_echo(tmp_path):
    async with fake_vtn() as vtn, http_stub() as hook, client_of(vtn, tmp_path) as ven:
        told = []

        async def echo(request):
            return aiohttp.web.Response(text=request.query["echo"])

        async def take(request):
            told.append((request.headers["Authorization"], await request.json()))
            return aiohttp.web.Response()

        operation = {"objects": ["EVENT"], "operations": ["CREATE", "DELETE"], "callbackUrl": f"{hook.url}/hook"}
        subscription = {"clientName": "site", "objectOperations": [{**operation, "bearerToken": "t-1"}]}
        with pytest.raises(VtnError, match="did not echo the challenge"):
            await ven.post("/subscriptions", subscription)
        hook.set("/hook", echo)
        hook.set("/hook", take, "POST")
        await ven.post("/subscriptions", subscription)
        event = vtn.add_event(vtn.add_program())
        vtn.change_event(event, priority=1)
        vtn.delete_event(event)
        await asyncio.wait_for(vtn.settled(), 5)
        assert sorted(body["operation"] for _, body in told) == ["CREATE", "DELETE"]
        assert {bearer for bearer, _ in told} == {"Bearer t-1"}
        assert {body["object"]["id"] for _, body in told} == {event}
