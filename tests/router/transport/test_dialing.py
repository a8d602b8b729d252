import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from router import clock
from router.settings import RouterFile
from router.transport.dialing import Dialer
from router.transport.keyring import Keyring
from router.transport.listening import KEEP_ALIVE_IDLE_S
from router.transport.names import Found, Names
from tests.fakes.certificates import Authority
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.network import NO_IPV6, has_ipv6
from tests.fakes.running import until


class Noting(asyncio.Protocol):
    """Keeps its transport."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]


def keyring_for(engine: FakeEngine, **tls: object) -> Keyring:
    pool = {"name": "p", "precision": "bf16", "instances": [engine.url], "tls": tls}
    return Keyring(RouterFile.model_validate({"pools": [pool]}), clock.wall_s)


async def connected(dialer: Dialer, address: tuple[str, int]) -> Noting:
    made = Noting()
    await dialer.connect(lambda: made, address)
    assert made.transport is not None
    made.transport.abort()
    return made


async def test_an_engine_is_connected_to_and_watched_for_silent_death() -> None:
    async with FakeEngine() as engine:
        made = Noting()
        await Dialer().connect(lambda: made, ("127.0.0.1", engine.port))
        assert made.transport is not None
        sock = made.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEP_ALIVE_IDLE_S
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        made.transport.abort()


async def test_nobody_listens() -> None:
    engine = FakeEngine()
    await engine.start()
    await engine.kill()
    with pytest.raises(OSError, match=r"[Rr]efused|Connect call failed"):
        await Dialer().connect(Noting, ("127.0.0.1", engine.port))


async def test_an_engine_at_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    async with FakeEngine(path=path) as engine:
        await connected(Dialer(), (path, 0))
        await until(lambda: engine.connections == 1)
    with pytest.raises(OSError, match=r"refused|No such file"):
        await connected(Dialer(), (path, 0))


@pytest.mark.skipif(not has_ipv6(), reason=NO_IPV6)
async def test_an_engine_at_an_ipv6_address() -> None:
    async with FakeEngine(host="::1") as engine:
        await connected(Dialer(), ("::1", engine.port))
        await until(lambda: engine.connections == 1)


class Known(Names):
    """Every name has these addresses."""

    def __init__(self, *numbers: str) -> None:
        super().__init__(clock.monotonic_s)
        self._numbers = numbers
        self.forgotten: list[tuple[str, int]] = []

    async def look_up(self, address: tuple[str, int]) -> list[Found]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, address[1])) for number in self._numbers]

    def forget(self, address: tuple[str, int]) -> None:
        self.forgotten.append(address)


@pytest.mark.parametrize(
    "numbers", [["127.0.0.1"], ["127.0.0.1", "127.0.0.9"], ["127.0.0.9", "127.0.0.8", "127.0.0.1"]]
)
async def test_of_a_names_addresses_one_that_answers_is_taken(numbers: list[str]) -> None:
    async with FakeEngine() as engine:
        await connected(Dialer(names=Known(*numbers)), ("engine.test", engine.port))
        await until(lambda: engine.connections == 1)


async def test_the_systems_names_are_known() -> None:
    async with FakeEngine() as engine:
        await connected(Dialer(), ("localhost", engine.port))
        await until(lambda: engine.connections == 1)


async def test_an_address_that_never_answers_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.9":
            await asyncio.Event().wait()
        await connect(sock, address)

    async with FakeEngine() as engine:
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        await connected(Dialer(names=Known("127.0.0.9", "127.0.0.1")), ("engine.test", engine.port))
        await until(lambda: engine.connections == 1)


@pytest.mark.parametrize("numbers", [["127.0.0.9"], ["127.0.0.9", "127.0.0.8"]])
async def test_a_name_is_asked_for_anew_when_nothing_answers_at_it(numbers: list[str]) -> None:
    async with FakeEngine() as engine:
        names = Known(*numbers)
        with pytest.raises(OSError, match=r"[Rr]efused|Connect call failed|Multiple exceptions"):
            await connected(Dialer(names=names), ("engine.test", engine.port))
        assert names.forgotten == [("engine.test", engine.port)]


async def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(OSError, match=r"not known|No address"):
        await connected(Dialer(), ("engine.invalid", 80))


async def test_an_engine_behind_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with FakeEngine(tls=authority.issue("engine").server()) as engine:
        made = await connected(Dialer(keyring_for(engine, ca_file=str(authority.file))), ("127.0.0.1", engine.port))
        assert made.transport is not None
        assert made.transport.get_extra_info("cipher") is not None


@pytest.mark.parametrize(
    ("case", "said"),
    [("other authority", "verify failed"), ("expired", "expired"), ("other name", "not valid for 'elsewhere'")],
)
async def test_an_engine_that_cannot_prove_who_it_is_is_refused(tmp_path: Path, case: str, said: str) -> None:
    authority = Authority(tmp_path)
    other = Authority(tmp_path, "other")
    tls = {"ca_file": str(other.file if case == "other authority" else authority.file)}
    if case == "other name":
        tls["server_name"] = "elsewhere"
    pair = authority.expired("engine") if case == "expired" else authority.issue("engine")
    async with FakeEngine(tls=pair.server()) as engine:
        with pytest.raises(ssl.SSLCertVerificationError, match=said):
            await connected(Dialer(keyring_for(engine, **tls)), ("127.0.0.1", engine.port))


async def test_a_name_that_differs_from_the_address_can_be_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with FakeEngine(tls=authority.issue("engine", "engines.internal").server()) as engine:
        keyring = keyring_for(engine, ca_file=str(authority.file), server_name="engines.internal")
        await connected(Dialer(keyring), ("127.0.0.1", engine.port))


async def test_an_engine_that_wants_to_know_the_router(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("router", "router.test")
    async with FakeEngine(tls=authority.issue("engine").server(clients=authority)) as engine:
        keyring = keyring_for(engine, ca_file=str(authority.file), **pair.settings())
        await connected(Dialer(keyring), ("127.0.0.1", engine.port))


async def test_an_engine_that_speaks_no_tls_is_an_error_of_the_connection(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = FakeEngine(port=port, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(OSError, match=r"wrong version|WRONG_VERSION|packet length|record layer"):
        await connected(Dialer(keyring_for(engine, ca_file=str(Authority(tmp_path).file))), ("127.0.0.1", port))
    server.close()


async def test_giving_up_within_the_handshake_leaves_nothing_behind(tmp_path: Path) -> None:
    arrived = asyncio.Event()
    gone = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        while await reader.read(4096):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = FakeEngine(port=port, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    made = Noting()
    dialer = Dialer(keyring_for(engine, ca_file=str(Authority(tmp_path).file)))
    dialling = asyncio.ensure_future(dialer.connect(lambda: made, ("127.0.0.1", port)))
    await arrived.wait()
    dialling.cancel()
    await asyncio.gather(dialling, return_exceptions=True)
    async with asyncio.timeout(10):
        await gone.wait()
    assert made.transport is None
    server.close()
