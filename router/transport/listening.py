"""The listening side: TCP ports and Unix sockets, and TLS handshakes with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from router.errors import ListenError
from router.settings import RouterSettings
from router.transport.addresses import unix_path
from router.transport.credentials import Credentials

log = logging.getLogger(__name__)

BACKLOG = 4096
ACCEPTED_AT_ONCE = 64
"""Connections whose handshakes begin before anything else gets its turn."""
RETRY_S = 1.0
"""Pause after the system could not give a connection, mostly for want of file descriptors."""
KEEP_ALIVE_IDLE_S = 30
"""Silence after which the system asks whether the peer is still there: a machine that lost its power says nothing."""
KEEP_ALIVE_INTERVAL_S = 10
KEEP_ALIVE_PROBES = 3
_NO_SUCH_HOST = "write an address of this machine, or 0.0.0.0 or :: for all of them"
_REMEDIES = {
    errno.EADDRNOTAVAIL: _NO_SUCH_HOST,
    errno.EACCES: "choose a port from 1024 on, or allow this user to listen on lower ones",
}


class PublicSocket:
    """What the public port listens on, bound but not yet listening.

    Args:
        router: where to listen.
        shared: let other processes of this router bind the port, too. A Unix socket is handed to them instead.

    Attributes:
        sock: the socket.
        port: the TCP port; 0 for a Unix socket.

    Raises:
        ListenError: it cannot be bound.
    """

    def __init__(self, router: RouterSettings, *, shared: bool) -> None:
        self._file: tuple[Path, int] | None = None
        self.port = 0
        if router.listen is None:
            self.sock = bind(router.host, router.port, shared=shared)
            self.port = self.sock.getsockname()[1]
        else:
            path = Path(unix_path(router.listen))
            self.sock = bind_unix(path, int(router.listen_mode, 8))
            self._file = path, path.lstat().st_ino

    def remove(self) -> None:
        """Remove the file of a Unix socket, unless another process has put its own in the place."""
        if self._file is None:
            return
        path, inode = self._file
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_ino == inode:
                path.unlink()


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket bound to the first address of `host`; `shared` lets other processes of this router bind it, too.

    ``::`` takes IPv4 as well.

    Raises:
        ListenError: it cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenError(host, port, error.strerror or str(error), _NO_SUCH_HOST) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        keep_alive(sock)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise ListenError(host, port, error.strerror or str(error), _REMEDIES.get(error.errno or 0)) from error
    return sock


def keep_alive(sock: socket.socket) -> None:
    """Send small segments at once, and find out about a peer that is gone without a word.

    On Linux the connections that a listening socket accepts inherit both, socket(7) and tcp(7).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES)


def bind_unix(path: Path, mode: int) -> socket.socket:
    """A Unix socket bound to `path`, in the place of one that nobody listens on any more.

    Raises:
        ListenError: somebody listens there, something else is in its place, or it cannot be bound.
    """
    try:
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(str(path), 0, error.strerror or str(error)) from error
    try:
        sock.bind(str(path))
        # Nobody can connect before the socket listens, so nobody slips in by the mode it was made with.
        path.chmod(mode)
    except OSError as error:
        sock.close()
        raise ListenError(str(path), 0, error.strerror or str(error)) from error
    return sock


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(str(path), 0, "what is there is no socket, and is left alone")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink()
    except BlockingIOError as error:
        raise ListenError(str(path), 0, "another process listens there, and is busy") from error
    else:
        raise ListenError(str(path), 0, "another process listens there")


@dataclass(frozen=True, slots=True)
class Handshakes:
    """How TLS handshakes are made.

    Attributes:
        credentials: give the context.
        handshake_s: longest one may take.
        shutdown_s: longest a closed connection may take to send what it holds and to hear its end confirmed.
        most: how many may be under way at once; further connections are closed.
    """

    credentials: Credentials
    handshake_s: float
    shutdown_s: float
    most: int


class Listener:
    """Accepts connections and hands them on once they are ready.

    Args:
        accept: makes the protocol of a connection.
        handshakes: makes connections TLS; None leaves them plain.

    Attributes:
        failed: handshakes that failed, were cut or found no room.
    """

    def __init__(self, accept: Callable[[], asyncio.Protocol], handshakes: Handshakes | None = None) -> None:
        self._accept = accept
        self._handshakes = handshakes
        self._server: asyncio.Server | None = None
        self._sock: socket.socket | None = None
        self._shaking: set[asyncio.Task[None]] = set()
        self.failed = 0

    async def start(self, sock: socket.socket) -> None:
        """Listen on `sock`, which is the listener's from now on.

        Raises:
            OSError: the system does not let it listen.
        """
        if self._handshakes is None:
            # The event loop's own attempt only logs that it failed.
            sock.listen(BACKLOG)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._accept, sock=sock, backlog=BACKLOG)
            return
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._sock = sock
        self._wait(self._handshakes)

    def close(self) -> None:
        """Accept no more and give up handshakes under way; connections that stand go on."""
        if self._server is not None:
            self._server.close()
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None
        for task in self._shaking:
            task.cancel()

    def _wait(self, handshakes: Handshakes) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().add_reader(self._sock, self._take, self._sock, handshakes)

    def _take(self, sock: socket.socket, handshakes: Handshakes) -> None:
        """Begin the handshakes of connections that have arrived.

        A server of the event loop would hold one context for life; here each connection gets the one of its day.
        """
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                arrived, _ = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("no connection can be accepted", extra={"reason": error.strerror, "again_in_s": RETRY_S})
                loop.remove_reader(sock)
                loop.call_later(RETRY_S, self._wait, handshakes)
                return
            if len(self._shaking) >= handshakes.most:
                self.failed += 1
                arrived.close()
                continue
            task = loop.create_task(self._shake(arrived, handshakes))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)

    async def _shake(self, arrived: socket.socket, handshakes: Handshakes) -> None:
        try:
            arrived.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._accept,
                arrived,
                ssl=handshakes.credentials.context,
                ssl_handshake_timeout=handshakes.handshake_s,
                ssl_shutdown_timeout=handshakes.shutdown_s,
            )
        except OSError as error:
            self.failed += 1
            log.debug("TLS handshake failed", extra={"reason": str(error) or type(error).__name__})
