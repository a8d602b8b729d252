import json

import pytest

from controller.commands.controller_client import TOKEN_VARIABLE, URL_VARIABLE, Access, RequestRefused, ask
from controller.errors import ConfigError
from tests.fakes.answering import answering
from tests.fakes.certificates import Authority
from tests.fakes.http_stub import closed_url
from tests.fakes.tls_front import tls_front

EVENTS = "/v1/events"


@pytest.fixture
def controller():
    with answering() as told:
        told.answers[EVENTS] = (200, b'{"events": []}')
        yield told


async def listed(access, environment=None):
    return await ask(access, environment or {}, "GET", EVENTS, None)


async def test_a_request_goes_to_the_controller_of_the_named_site_and_to_no_other(controller):
    controller.answers["/v1/site"] = (200, b'{"site": "s"}')
    environment = {TOKEN_VARIABLE: "0123456789abcdef"}
    await ask(Access(controller.url, site="s"), environment, "POST", EVENTS, {"limit_w": 4e4})
    method, path, body, authorization = controller.seen[-1]
    assert (method, path, authorization) == ("POST", EVENTS, "Bearer 0123456789abcdef")
    assert json.loads(body) == {"limit_w": 4e4}
    with pytest.raises(ConfigError, match=r"--site other: .* is the controller of s"):
        await listed(Access(controller.url, site="other"))
    controller.answers["/v1/site"] = (200, b"[]")
    with pytest.raises(ConfigError, match=r"--site s: .* is the controller of None"):
        await listed(Access(controller.url, site="s"))
    assert [path for _, path, *_ in controller.seen] == ["/v1/site", EVENTS, "/v1/site", "/v1/site"]


async def test_a_large_answer_is_read_to_its_end(controller):
    many = [{"event_id": f"e-{number}", "opted_out": "a launch " * 100} for number in range(1000)]
    controller.answers[EVENTS] = (200, json.dumps({"events": many}).encode())
    assert await listed(Access(controller.url)) == {"events": many}


async def test_an_endless_answer_is_cut(controller):
    controller.answers[EVENTS] = (200, b" " * ((4 << 20) + 1))
    with pytest.raises(RequestRefused, match=r"events: 200, more than 4194304 bytes: is this the controller's port"):
        await listed(Access(controller.url))


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b'{"error": {"message": "no such thing"}}', "^404: no such thing$"),
        (404, b'{"error": "no such page"}', "404: .*no such page"),
        (500, b"[1]", r"500: \[1\]"),
        (503, b"3", "503: 3"),
        (200, b"<html>", "200, no JSON: is this the controller's port"),
    ],
)
async def test_what_is_refused_is_told_in_the_words_of_who_refuses(controller, status, body, told):
    controller.answers[EVENTS] = (status, body)
    with pytest.raises(RequestRefused, match=told):
        await listed(Access(controller.url))


async def test_who_does_not_answer_is_named_with_the_remedy():
    with pytest.raises(RequestRefused, match=r"does not answer.*--controller or WATTROUTE_CONTROLLER_URL"):
        await listed(Access(closed_url()))


async def test_the_address_comes_from_the_environment_where_none_is_given(controller):
    assert await listed(Access(), {URL_VARIABLE: f"{controller.url}/"}) == {"events": []}


async def test_address_and_token_come_from_the_configuration(controller, tmp_path):
    (tmp_path / "token").write_text("a-token-of-an-operator")
    port = controller.url.rsplit(":", 1)[1]
    (tmp_path / "c.yaml").write_text(
        f"pools: [{{name: p, precision: bf16, instances: ['http://127.0.0.1:1']}}]\nclasses: [{{name: c}}]\n"
        f"controller: {{host: 0.0.0.0, port: {port}, token_file: {tmp_path}/token}}\n"
    )
    await listed(Access(config=tmp_path / "c.yaml"))
    assert controller.seen[-1][3] == "Bearer a-token-of-an-operator"


@pytest.mark.parametrize("url", ["http://other-host:8090", "http://10.0.0.6:8090/", "http://localhost.evil.example"])
async def test_the_token_goes_to_no_other_machine_unencrypted(url, tmp_path):
    environment = {TOKEN_VARIABLE: "0123456789abcdef"}
    with pytest.raises(ConfigError, match=f"{TOKEN_VARIABLE} would go there unencrypted; write https://.*--controller"):
        await listed(Access(url), environment)
    with pytest.raises(ConfigError, match="would go there unencrypted"):
        await listed(Access(), {**environment, URL_VARIABLE: url})
    (tmp_path / "token").write_text("fedcba9876543210")
    config = tmp_path / "w.yaml"
    config.write_text(
        "pools: [{name: bf16, precision: bf16, instances: ['http://127.0.0.1:1']}]\n"
        f"controller: {{token_file: {tmp_path / 'token'}, host: 10.0.0.6}}\n"
    )
    with pytest.raises(ConfigError, match=r"10\.0\.0\.6.*the token of controller\.token_file .*ssh -L") as caught:
        await listed(Access(config=config))
    assert "fedcba" not in str(caught.value)


async def test_without_a_token_any_address_is_asked():
    with pytest.raises(RequestRefused, match="does not answer"):
        await listed(Access("http://controller.invalid:8090"))


async def test_a_token_goes_to_nobody_whose_certificate_is_not_believed(controller, tmp_path):
    server = Authority(tmp_path).issue("controller")
    async with tls_front(int(controller.url.rpartition(":")[2]), server.server()) as port:
        access = Access(f"https://127.0.0.1:{port}")
        with pytest.raises(RequestRefused, match=r"its certificate is not believed: .*SSL_CERT_FILE"):
            await listed(access, {TOKEN_VARIABLE: "0123456789abcdef"})
    assert controller.seen == []
