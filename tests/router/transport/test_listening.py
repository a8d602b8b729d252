import asyncio
import contextlib
import errno
import os
import re
import socket
import ssl
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from router.errors import ListenError
from router.settings import RouterSettings, ServerTlsSettings
from router.transport import listening
from router.transport.credentials import Credentials
from router.transport.listening import KEEP_ALIVE_IDLE_S, Handshakes, Listener, PublicSocket, bind, bind_unix
from tests.fakes.certificates import Authority, Pair
from tests.fakes.network import NO_IPV6, has_ipv6
from tests.fakes.running import until

# Ports and files.


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}.*choose another one"):
            bind("127.0.0.1", port, shared=True)


@pytest.mark.parametrize("host", ["host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_named_with_its_remedy(host: str) -> None:
    with pytest.raises(ListenError, match=f"{re.escape(host)}.*; write an address of this machine"):
        bind(host, 0, shared=False)


def test_a_shared_port_can_be_bound_twice() -> None:
    with bind("127.0.0.1", 0, shared=True) as one, bind("127.0.0.1", one.getsockname()[1], shared=True) as two:
        assert one.getsockname() == two.getsockname()


def test_accepted_connections_notice_a_peer_that_is_gone_without_a_word() -> None:
    with bind("127.0.0.1", 0, shared=False) as sock:
        sock.listen()
        with socket.create_connection(sock.getsockname()):
            accepted, _ = sock.accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEP_ALIVE_IDLE_S
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.skipif(not has_ipv6(), reason=NO_IPV6)
@pytest.mark.parametrize(("host", "takes_ipv4"), [("::", True), ("::1", False)])
def test_the_unspecified_ipv6_address_takes_ipv4_as_well(host: str, takes_ipv4: bool) -> None:
    with bind(host, 0, shared=False) as sock:
        sock.listen()
        port = sock.getsockname()[1]
        socket.create_connection(("::1", port)).close()
        if takes_ipv4:
            socket.create_connection(("127.0.0.1", port)).close()
        else:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


def test_a_unix_socket_has_the_mode_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    before = os.umask(0o077)
    try:
        with bind_unix(path, 0o666):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
    finally:
        os.umask(before)


def test_a_socket_that_nobody_listens_on_any_more_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    bind_unix(path, 0o600).close()
    assert path.is_socket()
    with bind_unix(path, 0o600) as again:
        again.listen()
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(path))


def test_a_socket_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    with bind_unix(path, 0o600) as live:
        live.listen()
        with pytest.raises(ListenError, match=r"unix:.*another process listens there; correct router\.listen"):
            bind_unix(path, 0o600)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(path))


def test_a_socket_whose_owner_is_busy_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    with bind_unix(path, 0o600) as live:
        live.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(str(path))
        with pytest.raises(ListenError, match="busy"):
            bind_unix(path, 0o600)
        for other in waiting:
            other.close()
    assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "router.sock"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "precious").write_text("data")
        path.symlink_to(tmp_path / "precious")
    else:
        path.write_text("data")
    with pytest.raises(ListenError, match="is no socket, and is left alone"):
        bind_unix(path, 0o600)
    assert path.exists()


def test_a_folder_that_is_absent_is_told(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file"):
        bind_unix(tmp_path / "absent" / "router.sock", 0o600)


def test_the_public_socket_is_where_the_settings_say(tmp_path: Path) -> None:
    tcp = PublicSocket(RouterSettings(port=0), shared=False)
    assert tcp.port == tcp.sock.getsockname()[1] > 0
    tcp.remove()
    tcp.sock.close()
    path = tmp_path / "router.sock"
    unix = PublicSocket(RouterSettings(listen=f"unix:{path}", listen_mode="0600"), shared=True)
    assert unix.port == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    unix.sock.close()
    unix.remove()
    assert not path.exists()
    unix.remove()


def test_the_file_of_another_process_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    settings = RouterSettings(listen=f"unix:{path}")
    old = PublicSocket(settings, shared=False)
    old.sock.close()
    (tmp_path / "kept").hardlink_to(path)  # keeps the inode from being used again
    new = PublicSocket(settings, shared=False)
    old.remove()
    assert path.is_socket()
    new.sock.close()


# Connections and handshakes.


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


class Serving:
    """A listener with or without TLS, and what it accepted."""

    def __init__(self, pair: Pair | None = None, handshake_s: float = 10.0, most: int = 100, **tls: object) -> None:
        self.accepted: list[Echo] = []
        handshakes = None
        if pair is not None:
            settings = ServerTlsSettings.model_validate({**pair.settings(), **tls})
            self.credentials = Credentials("router.tls", settings, time.time)
            handshakes = Handshakes(self.credentials, handshake_s, shutdown_s=5.0, most=most)
        self.listener = Listener(self._accept, handshakes)
        self.sock = bind("127.0.0.1", 0, shared=False)
        self.port: int = self.sock.getsockname()[1]

    def _accept(self) -> Echo:
        echo = Echo()
        self.accepted.append(echo)
        return echo

    async def __aenter__(self) -> "Serving":
        await self.listener.start(self.sock)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.close()
        for echo in self.accepted:
            if echo.transport is not None:
                echo.transport.abort()
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def client(
    port: int, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say something and hear it."""
    writer.write(b"hello")
    await writer.drain()
    assert await reader.readexactly(5) == b"hello"


async def is_refused(port: int, context: ssl.SSLContext) -> bool:
    """Whether a client with this context is shut out; by TLS 1.3 it learns that only when it reads."""
    try:
        async with client(port, context) as streams:
            await said(*streams)
    except (OSError, asyncio.IncompleteReadError):
        return True
    return False


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, in whatever way."""
    with contextlib.suppress(ConnectionError):
        return await reader.read()
    return b""


def serial(writer: asyncio.StreamWriter) -> str:
    """Of the server's certificate."""
    return cast(dict[str, str], writer.get_extra_info("peercert"))["serialNumber"]


async def test_plain_connections() -> None:
    async with Serving() as serving, client(serving.port) as streams:
        await said(*streams)
        assert serving.listener.failed == 0


async def test_a_port_that_another_took_between_binding_and_listening_is_told() -> None:
    serving = Serving()
    with bind("127.0.0.1", serving.port, shared=False) as other:
        other.listen()
        with pytest.raises(OSError, match="in use"):
            await serving.listener.start(serving.sock)
    serving.sock.close()


async def test_connections_at_a_unix_socket(tmp_path: Path) -> None:
    public = PublicSocket(RouterSettings(listen=f"unix:{tmp_path}/router.sock"), shared=False)
    accepted: list[Echo] = []

    def accept() -> Echo:
        accepted.append(Echo())
        return accepted[-1]

    listener = Listener(accept)
    await listener.start(public.sock)
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "router.sock"))
    await said(reader, writer)
    writer.close()
    await until(lambda: accepted[0].is_lost)
    listener.close()


async def test_connections_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with Serving(authority.issue("router")) as serving:
        async with client(serving.port, authority.client()) as streams:
            await said(*streams)
            assert serving.accepted[0].transport is not None
            assert serving.accepted[0].transport.get_extra_info("cipher")
        await until(lambda: serving.accepted[0].is_lost)


async def test_a_client_that_does_not_believe_the_certificate_leaves(tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    async with Serving(Authority(tmp_path).issue("router")) as serving:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", serving.port, ssl=other.client())
        await until(lambda: serving.listener.failed == 1)
        assert serving.accepted[0].transport is None


async def test_a_client_that_speaks_no_tls_is_cut(tmp_path: Path) -> None:
    async with Serving(Authority(tmp_path).issue("router")) as serving, client(serving.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP" not in await rest(reader)
        assert serving.listener.failed == 1


async def test_a_client_without_the_certificate_asked_for_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with Serving(authority.issue("router"), client_ca_file=str(authority.file)) as serving:
        assert await is_refused(serving.port, authority.client())
        await until(lambda: serving.listener.failed == 1)
        assert serving.accepted[0].transport is None


@pytest.mark.parametrize("which", ["required", "optional"])
async def test_a_client_with_a_certificate_of_somebody_else_is_refused(tmp_path: Path, which: str) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    asked = {"client_ca_file": str(authority.file), "client_certificates": which}
    async with Serving(authority.issue("router"), **asked) as serving:
        assert await is_refused(serving.port, authority.client(other.issue("client", "client.test")))
        await until(lambda: serving.listener.failed == 1)


async def test_a_client_with_the_certificate_asked_for_is_served(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.client(authority.issue("client", "client.test"))
    async with (
        Serving(authority.issue("router"), client_ca_file=str(authority.file)) as serving,
        client(serving.port, context) as streams,
    ):
        await said(*streams)
        assert serving.accepted[0].transport is not None
        assert serving.accepted[0].transport.get_extra_info("peercert")


async def test_a_client_may_come_without_a_certificate_where_that_is_optional(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    asked = {"client_ca_file": str(authority.file), "client_certificates": "optional"}
    async with Serving(authority.issue("router"), **asked) as serving:
        assert not await is_refused(serving.port, authority.client())


@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x01\x02\x00\x01\x00"])
async def test_a_slow_handshake_is_cut(tmp_path: Path, beginning: bytes) -> None:
    async with (
        Serving(Authority(tmp_path).issue("router"), handshake_s=0.05) as serving,
        client(serving.port) as (reader, writer),
    ):
        writer.write(beginning)
        assert await rest(reader) == b""
        assert serving.listener.failed == 1


async def test_handshakes_under_way_are_bounded(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with Serving(authority.issue("router"), most=1) as serving:
        async with client(serving.port):
            await until(lambda: len(serving.accepted) == 1)
            assert await is_refused(serving.port, authority.client())
        await until(lambda: serving.listener.failed == 2)
        assert not await is_refused(serving.port, authority.client())


async def test_want_of_file_descriptors_is_a_pause_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setattr(listening, "RETRY_S", 0.01)

    class Wanting(socket.socket):
        failures = 1

        def accept(self) -> tuple[socket.socket, Any]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async with Serving(authority.issue("router")) as serving:
        serving.listener.close()
        sock = bind("127.0.0.1", 0, shared=False)
        serving.sock = Wanting(sock.family, sock.type, sock.proto, sock.detach())
        await serving.listener.start(serving.sock)
        assert not await is_refused(serving.sock.getsockname()[1], authority.client())
    assert [record.__dict__["reason"] for record in caplog.records] == ["Too many open files"]


async def test_new_connections_get_the_new_certificate_and_old_ones_go_on(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with Serving(authority.issue("router")) as serving, client(serving.port, authority.client()) as old:
        await said(*old)
        authority.issue("router")
        serving.credentials.refresh()
        async with client(serving.port, authority.client()) as new:
            assert serial(new[1]) != serial(old[1])
            await said(*old)
            authority.expired("router")
            serving.credentials.refresh()
            async with client(serving.port, authority.client()) as third:
                assert serial(third[1]) == serial(new[1])


async def test_closing_gives_up_handshakes_and_keeps_connections(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        Serving(authority.issue("router")) as serving,
        client(serving.port, authority.client()) as streams,
        client(serving.port) as (unready, _),
    ):
        await until(lambda: len(serving.accepted) == 2)
        serving.listener.close()
        assert await rest(unready) == b""
        await said(*streams)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", serving.port)
