import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from controller.dashboard.access import TOKEN_VARIABLE, guard, load_token
from controller.errors import ConfigError

TOKEN = "a-long-and-random-token"


async def client_for(token):
    async def fine(_):
        return web.Response(text="fine")

    app = web.Application(middlewares=[guard(token)])
    app.router.add_route("*", "/", fine)
    return TestClient(TestServer(app))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": "Bearer ünïcode"}, 401),
    ],
)
async def test_with_a_token_changes_need_it_and_looking_does_not(headers, status):
    async with await client_for(TOKEN) as client:
        assert (await client.get("/")).status == 200
        answer = await client.post("/", headers=headers)
        assert answer.status == status
        if status == 401:
            assert "bearer token" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8090", 200),
        ("localhost", 200),
        ("[::1]:8090", 200),
        ("evil.example", 403),
        ("evil.example:8090", 403),
    ],
)
async def test_without_one_this_machine_may_under_its_own_name(host, status):
    async with await client_for(None) as client:
        assert (await client.delete("/", headers={"Host": host})).status == status
        assert (await client.get("/", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    ("peer", "status"), [("127.0.0.1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.9", 403), (None, 403)]
)
async def test_without_one_other_machines_may_not(peer, status):
    async def fine(_):
        return web.Response()

    request = make_mocked_request("POST", "/", headers={"Host": "localhost", "X-Forwarded-For": "127.0.0.1"})
    request = request.clone(remote=peer) if peer else request
    assert (await guard(None)(request, fine)).status == status


def test_the_token_comes_from_the_file_or_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert load_token(file, {TOKEN_VARIABLE: "another-long-token"}) == TOKEN
    assert load_token(None, {TOKEN_VARIABLE: TOKEN}) == TOKEN
    assert load_token(None, {}) is None


def test_an_unusable_token_is_refused_without_showing_it(tmp_path):
    with pytest.raises(ConfigError, match=r"controller\.token_file .*absent"):
        load_token(tmp_path / "absent", {})
    with pytest.raises(ConfigError, match="16 or more printable ASCII characters, this one has 5") as caught:
        load_token(None, {TOKEN_VARIABLE: "short"})
    assert "short'" not in str(caught.value)
