"""Requests and answers as raw as they are on the wire, and what makes two answers the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

LIMIT_S = 60.0
"""Longest wait for any byte: a test that would hang fails here."""

_OWN = re.compile(
    # The id of an answer, of its parts or of a model's permission, and when they were made.
    rb'"(?P<name>id|item_id|response_id|request_id)":"'
    rb'(?P<kind>(?:chatcmpl|cmpl|resp|msg|modelperm|generate-tokens)[-_])?[0-9a-f]{16,32}"'
    rb'|"(?P<time>created|created_at|completed_at)":[0-9.]+'
)
_OWN_REQUEST_ID = re.compile(rb"[0-9a-f]{32}")
_OF_THE_CONNECTION = b"connection"


@dataclass
class Answer:
    """One answer.

    Attributes:
        fields: as they came, names in lower case.
        body: without the framing of chunks.
        is_whole: whether it came to the end its framing announced.
    """

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    is_whole: bool = True

    def get(self, name: bytes) -> bytes | None:
        """Value of the first field of this name."""
        return next((value for key, value in self.fields if key == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[bytes]:
        """What follows ``data:`` in each event of a stream."""
        return re.findall(rb"^data: (.*)$", self.body, re.MULTILINE)

    def same(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """What must be equal in an answer that came through the router and in one that did not.

        Fields are ordered by their names, those of one name as they came: the router may put the length elsewhere.
        """
        fields = [
            (name, _without_own_value(name, value))
            for name, value in self.fields
            if name != _OF_THE_CONNECTION and not name.startswith(b"x-wattroute-")
        ]
        return self.status, sorted(fields, key=lambda field: field[0]), without_own_values(self.body)


def without_own_values(body: bytes) -> bytes:
    """The body with ids and times replaced, each by its name and kind, and nothing else."""

    def replaced(found: re.Match[bytes]) -> bytes:
        if found["time"]:
            return b'"%b":TIME' % found["time"]
        return b'"%b":"%bID"' % (found["name"], found["kind"] or b"")

    return _OWN.sub(replaced, body)


def _without_own_value(name: bytes, value: bytes) -> bytes:
    if name == b"date":
        return b"TIME"
    return _OWN_REQUEST_ID.sub(b"ID", value) if name == b"x-request-id" else value


def request(method: str, target: str, body: object = None, *fields: str) -> bytes:
    """A request for a connection of its own; JSON unless `body` is bytes, or a field names another type."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *fields]
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    if body is not None:
        lines.append(f"Content-Length: {len(raw)}")
        if not isinstance(body, bytes):
            lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", ""]).encode() + raw


class Call:
    """A request under way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_to_head: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._is_to_head = is_to_head
        self._answer: Answer | None = None

    async def head(self) -> Answer:
        """The next head, of a final answer or of an interim one."""
        async with asyncio.timeout(LIMIT_S):
            raw = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].split(b"\r\n")
        parts = [line.partition(b":") for line in lines]
        answer = Answer(int(first.split(b" ")[1]), [(name.lower(), value.strip()) for name, _, value in parts])
        if answer.status >= 200:
            self._answer = answer
        return answer

    async def chunk(self) -> bytes:
        """The next chunk of a stream: with vLLM one event. Empty at the end."""
        async with asyncio.timeout(LIMIT_S):
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            return (await self._reader.readexactly(size + 2))[:-2]

    async def rest(self) -> Answer:
        """The whole answer, however it ended."""
        answer = self._answer or await self.head()
        try:
            if not self._is_to_head:
                await self._read_body(answer)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            answer.body += getattr(error, "partial", b"")
            answer.is_whole = False
        return answer

    async def _read_body(self, answer: Answer) -> None:
        if answer.get(b"transfer-encoding") == b"chunked":
            while chunk := await self.chunk():
                answer.body += chunk
        else:
            async with asyncio.timeout(LIMIT_S):
                answer.body += await self._reader.readexactly(int(answer.get(b"content-length") or b"0"))

    async def is_closed(self) -> bool:
        """Whether the connection ends after the answer, without a further byte."""
        async with asyncio.timeout(LIMIT_S):
            with contextlib.suppress(ConnectionError):
                return await self._reader.read(1) == b""
        return True

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self._writer.write_eof()

    def leave(self) -> None:
        """Close the connection without a further word."""
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def call(port: int, data: bytes) -> AsyncIterator[Call]:
    """Send a request; leaving the block closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        under_way = Call(reader, writer, is_to_head=data.startswith(b"HEAD "))
        await under_way.send(data)
        yield under_way
    finally:
        writer.transport.abort()


async def exchange(port: int, data: bytes) -> Answer:
    """Send a request and read its whole answer."""
    async with call(port, data) as under_way:
        return await under_way.rest()
