"""A scriptable engine: raw HTTP over asyncio streams, able to misbehave in every way a router must survive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

MODEL = "qwen"

PLAIN = b'{"model":"qwen","messages":[]}'
STREAM = b'{"model":"qwen","messages":[],"stream":true}'
GET = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Request:
    """A request as the engine got it."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        """Value of a field, by lower-case name."""
        return next((value for key, value in self.fields if key.lower() == name), None)

    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class Wire:
    """What a script writes its answer with."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_over: bool = False

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes, *fields: str) -> None:
        """A whole answer with its length."""
        kind = (
            []
            if any(text.lower().startswith("content-type") for text in fields)
            else ["content-type: application/json"]
        )
        lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", *kind, *fields, "", ""]
        await self.send("\r\n".join(lines).encode() + body)

    async def begin_stream(self, *fields: str) -> None:
        lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream; charset=utf-8", *fields]
        await self.send("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, payload: object) -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        await self.chunk(f"data: {text}\n\n".encode())

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def wait_gone(self) -> None:
        """Until the router has closed this connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.is_over = True

    def close(self) -> None:
        self.is_over = True
        self.writer.close()

    def reset(self) -> None:
        """End the connection by RST."""
        self.is_over = True
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Request, Wire], Awaitable[None]]


def delta(text: str, **more: object) -> dict:
    """One event of a chat stream."""
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice], **more}


def completion(text: str) -> dict:
    """A plain chat answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "c-1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": usage}


async def behave(request: Request, wire: Wire) -> None:
    """What an engine in good health does."""
    path = request.target.partition("?")[0]
    if path == "/health":
        await wire.answer(200, b"")
    elif path == "/v1/models":
        card = {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm"}
        await wire.answer(200, json.dumps({"object": "list", "data": [card]}).encode())
    elif path == "/v1/chat/completions":
        await chat(request, wire)
    elif path == "/metrics":
        await wire.answer(200, b"vllm:num_requests_running{} 0\n", "content-type: text/plain; version=0.0.4")
    else:
        await wire.answer(404, b'{"detail":"Not Found"}')


async def chat(request: Request, wire: Wire, tokens: int = 3, pause_s: float = 0.0) -> None:
    """A chat answer, streamed if asked for."""
    facts = request.json()
    if facts.get("model") not in (None, MODEL):
        error = {"message": "The model does not exist.", "type": "NotFoundError", "param": "model", "code": 404}
        await wire.answer(404, json.dumps({"error": error}).encode())
        return
    if not facts.get("stream"):
        await wire.answer(200, json.dumps(completion(" ".join(f"w{i}" for i in range(tokens)))).encode())
        return
    await wire.begin_stream()
    for number in range(tokens):
        await wire.event(delta(f"w{number} "))
        if pause_s:
            await asyncio.sleep(pause_s)
    if (facts.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}
        await wire.event(delta("", choices=[], usage=usage))
    await wire.event("[DONE]")
    await wire.end()


def raw(answer: bytes) -> Script:
    """Answers with these bytes, whatever they are."""

    async def script(request: Request, wire: Wire) -> None:
        await wire.send(answer)

    return script


def status(code: int, body: bytes = b'{"error":{"message":"no"}}', *fields: str) -> Script:
    """Answers with a status."""

    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(code, body, *fields)

    return script


async def reset(request: Request, wire: Wire) -> None:
    """Resets the connection in place of an answer."""
    wire.reset()


@dataclass
class FakeEngine:
    """Listens on a port of the system's choice; `script` may be changed at any time.

    Attributes:
        script: answers a request.
        requests: all requests seen.
        connections: connections accepted so far.
        is_closing_idle: the connection is closed right after each answer without a word of it in the head.
        host: where it listens.
        path: of a Unix socket to listen on instead.
        tls: what it speaks, None for plain HTTP.
    """

    script: Script = behave
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    is_closing_idle: bool = False
    port: int = 0
    host: str = "127.0.0.1"
    path: str | None = None
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    async def __aenter__(self) -> FakeEngine:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Listen, on the earlier port if there was one."""
        if self.path is not None:
            self._server = await asyncio.start_unix_server(self._serve, self.path, ssl=self.tls)
            return
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Vanish as a killed process does: every connection is cut, new ones are refused."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _read_request(reader)
            self.requests.append(request)
            wire = Wire(reader, writer)
            await self.script(request, wire)
            if wire.is_over or self.is_closing_idle:
                return


async def _read_request(reader: asyncio.StreamReader) -> Request:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *rest = raw.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
    request = Request(method, target, fields, b"")
    length = request.get("content-length")
    if length:
        request.body = await reader.readexactly(int(length))
    return request
