import dataclasses
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.dashboard.standby import SHARED_HEADER, orders_to_the_leader, refusal_of
from controller.loop.leadership import LeadershipStatus, Role

STANDBY = LeadershipStatus(Role.STANDBY, "b_1", "a_1", "http://10.0.0.7:8090")
LEADER = LeadershipStatus(Role.LEADER, "b_1", "b_1", "http://10.0.0.8:8090", has_standby=True)


class Bench:
    """A client of an app that notes its orders."""

    def __init__(self, status, *, is_shared=True, answers=201):
        self.taken, self.shared = [], 0

        async def share():
            self.shared += 1
            return is_shared

        async def order(request):
            self.taken.append(request.method)
            return web.Response(status=answers, text="taken")

        app = web.Application(middlewares=[orders_to_the_leader(lambda: status, share)])
        app.router.add_route("*", "/", order)
        self.client = TestClient(TestServer(app))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_standby_takes_no_order_and_says_who_does(method):
    bench = Bench(STANDBY)
    async with bench.client as client:
        answer = await client.request(method, "/")
        told = json.loads(await answer.text())["error"]
    assert (answer.status, told["type"], bench.taken) == (503, "standby", [])
    assert "the leader is a_1 at http://10.0.0.7:8090: send the request there" in told["message"]
    assert answer.headers["Retry-After"] == "5"


async def test_a_standby_answers_questions():
    bench = Bench(STANDBY, answers=200)
    async with bench.client as client:
        assert (await client.get("/")).status == 200
    assert bench.shared == 0


@pytest.mark.parametrize(("is_shared", "told"), [(True, "yes"), (False, "no")])
async def test_a_leader_says_whether_an_order_outlasts_its_lead(is_shared, told):
    bench = Bench(LEADER, is_shared=is_shared)
    async with bench.client as client:
        answer = await client.post("/")
    assert (answer.status, answer.headers[SHARED_HEADER], bench.shared) == (201, told, 1)


async def test_what_a_leader_refuses_is_not_shared():
    bench = Bench(LEADER, answers=400)
    async with bench.client as client:
        answer = await client.post("/")
    assert (answer.status, bench.shared) == (400, 0)
    assert SHARED_HEADER not in answer.headers


async def test_without_an_election_nothing_is_added():
    bench = Bench(None)
    async with bench.client as client:
        answer = await client.post("/")
    assert (answer.status, bench.shared) == (201, 0)
    assert SHARED_HEADER not in answer.headers


def test_while_nobody_leads_the_remedy_is_to_wait():
    assert "try again" in refusal_of(dataclasses.replace(STANDBY, leader=None))
    assert "try again" in refusal_of(dataclasses.replace(STANDBY, leader="b_1")), "it is about to lead itself"
    assert refusal_of(dataclasses.replace(STANDBY, address=None)).endswith("the leader is a_1: send the request there")
