import ssl
import time
from pathlib import Path

import aiohttp
import pytest

from router.settings import RouterFile
from router.transport.asking import EngineSession
from router.transport.keyring import Keyring
from tests.fakes.certificates import Authority
from tests.fakes.fake_engine import FakeEngine, Request, Wire
from tests.fakes.network import NO_IPV6, has_ipv6


def session_for(*engines: FakeEngine, ca: Authority | None = None) -> EngineSession:
    pool = {"name": "p", "precision": "bf16", "instances": [engine.url for engine in engines]}
    if ca is not None:
        pool["tls"] = {"ca_file": str(ca.file)}
    return EngineSession(Keyring(RouterFile.model_validate({"pools": [pool]}), time.time), timeout_s=5.0)


async def asked(session: EngineSession, engine: FakeEngine) -> int:
    async with session.get(engine.url, "/health") as answer:
        return answer.status


async def test_engines_are_asked_by_whatever_way_they_are_reached(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        FakeEngine() as plain,
        FakeEngine(path=str(tmp_path / "a.sock")) as one,
        FakeEngine(path=str(tmp_path / "b.sock")) as two,
        FakeEngine(tls=authority.issue("engine").server()) as secured,
    ):
        session = session_for(plain, one, two, secured, ca=authority)
        for engine in (plain, one, two, secured, one):
            assert await asked(session, engine) == 200
        assert [len(engine.requests) for engine in (plain, one, two, secured)] == [1, 2, 1, 1]
        assert one.connections == 1, "connections are used again"
        await session.close()


@pytest.mark.skipif(not has_ipv6(), reason=NO_IPV6)
async def test_an_engine_at_an_ipv6_address() -> None:
    async with FakeEngine(host="::1") as engine:
        session = session_for(engine)
        assert await asked(session, engine) == 200
        await session.close()


async def test_a_body_can_be_sent_and_the_way_on_is_not_followed() -> None:
    async def away(request: Request, wire: Wire) -> None:
        await wire.answer(307, b"", "location: http://127.0.0.1:1/")

    async with FakeEngine(away) as engine:
        session = session_for(engine)
        async with session.request("POST", engine.url, "/sleep?level=1", json={"a": 1}) as answer:
            assert answer.status == 307
        assert (engine.requests[0].target, engine.requests[0].json()) == ("/sleep?level=1", {"a": 1})
        await session.close()


async def test_an_engine_that_cannot_prove_who_it_is_is_not_asked(tmp_path: Path) -> None:
    async with FakeEngine(tls=Authority(tmp_path, "other").issue("engine").server()) as engine:
        session = session_for(engine, ca=Authority(tmp_path))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await asked(session, engine)
        assert not engine.requests
        await session.close()


async def test_a_certificate_that_is_made_out_to_another_name_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with FakeEngine(tls=authority.issue("engine", "elsewhere.test").server()) as engine:
        session = session_for(engine, ca=authority)
        with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
            await asked(session, engine)
        assert isinstance(caught.value.certificate_error, ssl.SSLCertVerificationError)
        await session.close()


async def test_closing_a_session_that_was_never_used() -> None:
    await session_for(FakeEngine(port=1)).close()
