import random

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from controller.actuators.webhooks import Webhooks
from controller.clock import VirtualClock
from controller.dashboard.api import errors_as_json
from controller.dashboard.webhooks_api import URL, WebhooksApi
from controller.loop.ramp_desk import RampDesk
from tests.fakes.controller_parts import NOW_S

GIVEN = {"url": "https://hooks.example/secret-path?key=k", "token": "s3cret-token"}


@pytest.fixture
async def client(tmp_path):
    async with aiohttp.ClientSession() as session:
        clock = VirtualClock(NOW_S)
        webhooks = Webhooks(session, clock, random.Random(1), CollectorRegistry())
        app = web.Application(middlewares=[errors_as_json])
        WebhooksApi(RampDesk(tmp_path, "north", webhooks, clock, lambda: None)).add_to(app)
        async with TestClient(TestServer(app)) as client:
            yield client
        await webhooks.close()


async def test_a_receiver_is_registered_shown_without_its_secrets_and_removed(client):
    made = await client.post(URL, json=GIVEN)
    assert (made.status, made.headers["Location"]) == (201, f"{URL}/hook-1")
    listed = await client.get(URL)
    text = await made.text() + await listed.text()
    assert "https://hooks.example" in text
    assert not any(secret in text for secret in ("s3cret", "secret-path", "key=k"))
    assert (await listed.json())["webhooks"][0]["has_token"] is True
    assert (await client.delete(f"{URL}/hook-1")).status == 200
    assert (await client.delete(f"{URL}/hook-1")).status == 404
    assert (await (await client.get(URL)).json())["webhooks"] == []


@pytest.mark.parametrize(
    "body", [{}, [], {"url": 7}, {"url": "http://hooks.example/"}, {**GIVEN, "token": 7}, {**GIVEN, "retries": 3}]
)
async def test_what_is_wrong_is_refused(client, body):
    answer = await client.post(URL, json=body)
    assert answer.status == 400, await answer.text()


async def test_an_address_is_registered_once(client):
    await client.post(URL, json=GIVEN)
    assert (await client.post(URL, json=GIVEN)).status == 409
