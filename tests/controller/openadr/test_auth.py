import aiohttp
import pytest

from controller.clock import VirtualClock
from controller.errors import SignalError, VtnError
from controller.openadr.auth import Credentials, TokenDesk, refuse_plain
from controller.openadr.http import VtnHttp, tls_context
from controller.openadr.messages import Version
from tests.fakes.vtn.server import fake_vtn


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("ven-secret\n")
    return path


class Desk:
    def __init__(self, vtn, credentials):
        self._vtn, self._credentials = vtn, credentials

    async def __aenter__(self):
        self._session = aiohttp.ClientSession()
        self.clock = VirtualClock(1e9)
        http = VtnHttp(self._session, tls_context(None), 2.0)
        return TokenDesk(http, self._vtn.url, self._credentials, self.clock), self.clock

    async def __aexit__(self, *_):
        await self._session.close()


@pytest.mark.parametrize("version", list(Version))
async def test_the_token_endpoint_is_found_and_the_token_kept_while_it_is_good(secret, version):
    async with fake_vtn(version) as vtn, Desk(vtn, Credentials("ven-1", secret)) as (desk, clock):
        first = await desk.token()
        assert await desk.token() is first
        assert await desk.version() is version
        clock.advance(3600)
        assert await desk.token() is not first
        assert vtn.tokens_given == 2
        assert vtn.requests.count("GET /auth/server") == 1


async def test_a_public_vtn_is_asked_for_no_token():
    async with fake_vtn() as vtn, Desk(vtn, None) as (desk, _):
        assert await desk.token() is None
        assert vtn.requests == []


async def test_a_token_refused_at_once_is_not_asked_for_again(secret):
    async with fake_vtn() as vtn, Desk(vtn, Credentials("ven-1", secret)) as (desk, clock):
        token = await desk.token()
        assert not desk.may_renew(token)
        clock.advance(11)
        assert desk.may_renew(token)
        assert await desk.token() is not token
        assert desk.may_renew(token)
        assert vtn.tokens_given == 2


async def test_a_wrong_secret_is_told_without_it(tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-secret")
    async with fake_vtn() as vtn, Desk(vtn, Credentials("ven-1", wrong)) as (desk, _):
        with pytest.raises(VtnError, match="no token for ven-1: status 401: invalid_client") as caught:
            await desk.token()
    assert "not-the-secret" not in str(caught.value)


async def test_a_secret_is_read_anew_each_time(secret):
    async with fake_vtn() as vtn, Desk(vtn, Credentials("ven-1", secret)) as (desk, clock):
        await desk.token()
        vtn.clients["ven-1"] = ("rotated", "ven")
        secret.write_text("rotated")
        clock.advance(3600)
        assert await desk.token() is not None


def test_secrets_come_from_a_file_or_the_environment(secret, tmp_path, monkeypatch):
    assert Credentials("ven-1", secret).secret() == "ven-secret"
    monkeypatch.setenv("VTN_SECRET", "from-env")
    assert Credentials("ven-1", None, "VTN_SECRET").secret() == "from-env"
    monkeypatch.delenv("VTN_SECRET")
    with pytest.raises(SignalError, match="of client ven-1: the environment has no secret in VTN_SECRET; set it"):
        Credentials("ven-1", None, "VTN_SECRET").secret()
    with pytest.raises(SignalError, match=r"client_secret_file .*absent: cannot be read"):
        Credentials("ven-1", tmp_path / "absent").secret()


async def test_credentials_are_not_sent_to_where_everybody_listens(secret):
    async with fake_vtn() as vtn, Desk(vtn, Credentials("ven-1", secret)) as (desk, _):
        vtn.token_url = "http://auth.example/token"
        with pytest.raises(SignalError, match="credentials are sent over https:// alone"):
            await desk.token()


@pytest.mark.parametrize("url", ["https://auth.example/token", "http://127.0.0.1:1/t", "http://[::1]:1/t"])
def test_tls_or_this_machine_is_good_enough(url):
    refuse_plain(url)


@pytest.mark.parametrize("status", [401, 500])
async def test_a_vtn_that_does_not_say_where_tokens_are_had_is_told_with_the_remedy(secret, status):
    async with fake_vtn() as vtn, Desk(vtn, Credentials("ven-1", secret)) as (desk, _):
        vtn.fail("/auth/server", status)
        with pytest.raises(VtnError, match=f"status {status}: fault .* set version and token_url"):
            await desk.token()


@pytest.mark.parametrize(("kind", "said"), [("malformed", "not JSON"), ("no_list", "access_token")])
async def test_a_malformed_answer_gives_no_token(secret, kind, said):
    async with fake_vtn() as vtn, Desk(vtn, Credentials("ven-1", secret)) as (desk, _):
        vtn.fail("/auth/token", kind)
        with pytest.raises(SignalError, match=said):
            await desk.token()


async def test_a_configured_token_endpoint_needs_no_discovery(secret):
    async with fake_vtn() as vtn:
        credentials = Credentials("ven-1", secret, token_url=f"{vtn.url}/auth/token")
        async with Desk(vtn, credentials) as (desk, _):
            assert await desk.token() is not None
        assert vtn.requests == ["POST /auth/token"]
