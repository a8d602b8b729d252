"""A real mosquitto broker for tests, on a port the OS chose."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.certificates import Pair

START_LIMIT_S = 20.0


def find_binary() -> str | None:
    """mosquitto from PATH or from where Debian puts servers."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@dataclass
class Mosquitto:
    """One broker that can be stopped and started again on the same port.

    Attributes:
        log: what it wrote.
    """

    binary: str
    folder: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        file = self.folder / "mosquitto.log"
        return file.read_text() if file.is_file() else ""

    async def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        self.process = await asyncio.create_subprocess_exec(
            self.binary, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(START_LIMIT_S):
            while not await self._listens():
                if self.process.returncode is not None:
                    raise RuntimeError(f"mosquitto ended with {self.process.returncode}: {self.log}")
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@contextlib.asynccontextmanager
async def mosquitto(
    folder: Path, *, tls: Pair | None = None, clients_ca: Path | None = None, user: tuple[str, str] | None = None
) -> AsyncIterator[Mosquitto]:
    """A broker on loopback: with TLS, with certificates of clients asked for, or with one user's password."""
    binary = find_binary()
    if binary is None:
        pytest.skip("mosquitto is not installed; run: make servers")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lines = [f"listener {port} 127.0.0.1", f"log_dest file {folder / 'mosquitto.log'}", "user root"]
    lines.append(f"allow_anonymous {'false' if user else 'true'}")
    if tls is not None:
        lines += [f"certfile {tls.certificate_file}", f"keyfile {tls.key_file}"]
    if clients_ca is not None:
        lines += [f"cafile {clients_ca}", "require_certificate true"]
    if user is not None:
        passwords = folder / "passwords"
        passwords.write_text(f"{user[0]}:{user[1]}\n")
        tool = await asyncio.create_subprocess_exec("mosquitto_passwd", "-U", str(passwords))
        assert await tool.wait() == 0
        lines.append(f"password_file {passwords}")
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    broker = Mosquitto(binary, folder, port)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
