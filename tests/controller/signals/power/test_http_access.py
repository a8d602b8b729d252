import aiohttp
import pytest
from aiohttp import web

from controller.errors import ConfigError, SignalError
from controller.signals.power.http_access import HttpAccess, HttpOptions, tls_context
from tests.fakes.certificates import Authority
from tests.fakes.http_stub import http_stub


async def told_session(request: web.Request) -> web.Response:
    return web.json_response({name: request.headers.get(name) for name in ("X-Auth-Token", "Authorization")})


async def told_headers(request: web.Request) -> web.Response:
    return web.json_response({"authorization": request.headers.get("Authorization")})


async def test_the_token_is_sent_and_followed_when_it_is_replaced(tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/", told_headers)
        access = HttpAccess(session, HttpOptions(token_file=file))
        assert (await access.get_json(f"{stub.url}/"))["authorization"] == "Bearer first"
        file.write_text("second")
        assert (await access.get_json(f"{stub.url}/"))["authorization"] == "Bearer second"
        basic = HttpAccess(session, HttpOptions(token_file=file, user="op"))
        assert (await basic.get_json(f"{stub.url}/"))["authorization"] == "Basic b3A6c2Vjb25k"


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), ("", "one line"), ("a\nb", "one line")])
async def test_a_token_that_cannot_be_had_is_told_without_it(tmp_path, content, told):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SignalError, match=told):
            await HttpAccess(session, HttpOptions(token_file=file)).get("http://127.0.0.1:1/")


async def test_refusals_and_redirects_say_what_to_do(tmp_path):
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://login.example/"})

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/closed", 401)
        stub.set("/moved", elsewhere)
        file = tmp_path / "password"
        file.write_text("s3cret")
        access = HttpAccess(session)
        with pytest.raises(SignalError, match="status 401: the source wants a token"):
            await access.get_text(f"{stub.url}/closed")
        with pytest.raises(SignalError, match=r"redirects to 'https://login\.example/'; configure that address"):
            await access.get_text(f"{stub.url}/moved")
        with pytest.raises(SignalError, match="status 404: there is no such resource; correct the address"):
            await access.get_text(f"{stub.url}/absent")
        with pytest.raises(
            SignalError, match=r"does not accept user 'op' with the password in .*password; see its rights"
        ):
            await HttpAccess(session, HttpOptions(token_file=file, user="op")).get_text(f"{stub.url}/closed")
    assert stub.requests == ["GET /closed", "GET /moved", "GET /absent", "GET /closed"]


async def test_a_token_goes_in_a_header_of_its_own_where_the_source_has_one(tmp_path):
    file = tmp_path / "token"
    file.write_text("t0ken\n")
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/", told_session)
        access = HttpAccess(session, HttpOptions(token_file=file, token_header="X-Auth-Token"))
        assert await access.get_json(f"{stub.url}/") == {"X-Auth-Token": "t0ken", "Authorization": None}


async def test_an_answer_may_be_as_large_as_its_source_is_given():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/", "x" * 101)
        assert len(await HttpAccess(session, HttpOptions(max_body_bytes=101)).get_text(f"{stub.url}/")) == 101
        with pytest.raises(SignalError, match="more than 100 bytes"):
            await HttpAccess(session, HttpOptions(max_body_bytes=100)).get_text(f"{stub.url}/")


async def test_a_server_is_believed_by_the_configured_authority_alone(tmp_path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    shown = ours.issue("client")
    app = web.Application()
    app.router.add_get("/", told_headers)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ours.issue("server").server(clients=ours)).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with aiohttp.ClientSession() as session:
            good = HttpOptions(ca_file=ours.file, certificate_file=shown.certificate_file, key_file=shown.key_file)
            assert await HttpAccess(session, good).get_json(url) == {"authorization": None}
            with pytest.raises(SignalError, match="certificate is not believed"):
                await HttpAccess(session, HttpOptions(ca_file=others.file)).get_json(url)
    finally:
        await runner.cleanup()


def test_files_of_tls_that_cannot_be_used_are_named(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ConfigError, match=r"empty\.pem: cannot be used for TLS"):
        tls_context(HttpOptions(ca_file=empty))
    with pytest.raises(ConfigError, match="go together"):
        tls_context(HttpOptions(key_file=empty))
    assert tls_context(HttpOptions()) is True


async def test_what_changes_something_is_posted_with_the_token(tmp_path):
    file = tmp_path / "token"
    file.write_text("secret")
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/change", told_headers, "POST")
        status, body = await HttpAccess(session, HttpOptions(token_file=file)).post(f"{stub.url}/change", {"a": "1"})
    assert (status, b"Bearer secret" in body) == (200, True)
    assert stub.requests == ["POST /change?a=1"]
