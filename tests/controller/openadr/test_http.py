import aiohttp
import pytest

from controller.errors import ConfigError, SignalError
from controller.openadr.http import Request, VtnHttp, tls_context
from tests.fakes.certificates import Authority
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.vtn.server import fake_vtn


async def sent(request, *, tls=None, timeout_s=2.0):
    async with aiohttp.ClientSession() as session:
        return await VtnHttp(session, tls or tls_context(None), timeout_s).send(request)


async def test_answers_come_with_the_server_s_clock_and_its_wish_to_be_left_alone():
    async with fake_vtn() as vtn:
        vtn.clients.clear()
        vtn.fail("/events", 503, Retry_After="7")
        answer = await sent(Request("GET", f"{vtn.url}/events", {"limit": 50}))
    assert (answer.status, answer.retry_after_s) == (503, 7.0)
    assert answer.date_s > 1.7e9
    assert vtn.requests == ["GET /events?limit=50"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("hang", r"no answer within 0\.2 s"), ("huge", "more than 8388608 bytes"), ("broken", "broke off")],
)
async def test_answers_are_bounded_in_time_and_size(kind, said):
    async with fake_vtn() as vtn:
        vtn.clients.clear()
        vtn.fail("/events", kind)
        with pytest.raises(SignalError, match=said):
            await sent(Request("GET", f"{vtn.url}/events"), timeout_s=0.2 if kind == "hang" else 5.0)


async def test_a_redirect_leads_no_token_away():
    async with http_stub() as stub:
        stub.set("/events", 302)
        with pytest.raises(SignalError, match="it redirects to"):
            await sent(Request("GET", f"{stub.url}/events", headers={"Authorization": "Bearer t"}))


async def test_an_unreachable_server_is_told_with_the_reason():
    with pytest.raises(SignalError, match="cannot connect"):
        await sent(Request("GET", closed_url()))


async def test_certificates_are_verified_unless_told_otherwise(tmp_path):
    own, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with fake_vtn(tls=own.issue("vtn").server()) as vtn:
        vtn.clients.clear()
        request = Request("GET", f"{vtn.url}/events")
        for trusted in (tls_context(own.file), tls_context(None, is_verified=False)):
            assert (await sent(request, tls=trusted)).status == 200
        for distrusted in (tls_context(other.file), tls_context(None)):
            with pytest.raises(SignalError, match="certificate is not believed"):
                await sent(request, tls=distrusted)


async def test_a_certificate_that_ran_out_is_not_believed(tmp_path):
    own = Authority(tmp_path)
    async with fake_vtn(tls=own.expired("vtn").server()) as vtn:
        with pytest.raises(SignalError, match="certificate is not believed"):
            await sent(Request("GET", f"{vtn.url}/events"), tls=tls_context(own.file))


def test_a_file_without_certificates_is_refused(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (empty, tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match="give a file of certificates in PEM"):
            tls_context(path)


async def test_forms_and_json_are_sent_as_such():
    async with http_stub() as stub:
        seen = []

        async def keep(request):
            seen.append((request.content_type, await request.text()))
            return aiohttp.web.Response(text="{}")

        stub.set("/x", keep, "POST")
        await sent(Request("POST", f"{stub.url}/x", content={"a": 1}))
        await sent(Request("POST", f"{stub.url}/x", form={"a": "b c"}))
    assert seen == [("application/json", '{"a": 1}'), ("application/x-www-form-urlencoded", "a=b+c")]


async def test_a_server_outside_is_asked_by_the_proxy_that_the_environment_names(monkeypatch):
    async with http_stub() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        proxy.set("/programs", [])
        assert (await sent(Request("GET", "http://vtn.example/programs"))).body == b"[]"


async def test_a_proxy_that_cannot_be_had_or_refuses_is_told_as_that(monkeypatch):
    nobody = closed_url()
    monkeypatch.setenv("HTTPS_PROXY", nobody)
    with pytest.raises(
        SignalError, match=rf"cannot connect to the proxy {nobody.removeprefix('http://')} \(Connection ref"
    ):
        await sent(Request("GET", "https://vtn.example/programs"))
    async with http_stub() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(SignalError, match=r"vtn\.example.*the proxy refuses it \(status 404\)"):
            await sent(Request("GET", "https://vtn.example/programs"))
