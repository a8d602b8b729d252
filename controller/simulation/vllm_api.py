"""The HTTP interface of one emulated vLLM server: which path does what."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from secrets import compare_digest
from typing import Any
from urllib.parse import parse_qs

from controller.clock import Clock
from controller.simulation import tokenizer, vllm_errors, vllm_server_info, vllm_wire
from controller.simulation.vllm_answer import Answer
from controller.simulation.vllm_engine import PARTS, EmulatedEngine, InFlight
from controller.simulation.vllm_errors import ApiError
from controller.simulation.vllm_http import Exchange
from controller.simulation.vllm_request import GenerationRequest, parse_chat, parse_completion, parse_json
from controller.simulation.vllm_wire import Identity, dump

METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"
Route = Callable[[Exchange], None]
Job = Callable[[Exchange], Coroutine[Any, Any, bytes]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """Switches of a vLLM server.

    Attributes:
        api_key: asked for on /v1 paths where set.
        max_num_queued_reqs: requests that may run and wait together before others get 503; None for no limit.
        quantization: method that --quantization forces; None lets the checkpoint decide.
        has_server_info: whether the server runs in development mode as far as /server_info goes.
    """

    api_key: str | None = None
    max_num_queued_reqs: int | None = None
    quantization: str | None = None
    has_server_info: bool = True


class VllmApi:
    """Answers the exchanges of one instance's port."""

    def __init__(self, engine: EmulatedEngine, options: ApiOptions, *, rng: Random, clock: Clock) -> None:
        self._engine = engine
        self._served = engine.spec.served
        self._options = options
        self._rng = rng
        self._clock = clock
        self._created_s = int(clock.wall_s())
        self._jobs: set[asyncio.Task[None]] = set()
        self._routes: dict[str, dict[str, Route]] = {
            "/health": {"GET": lambda exchange: exchange.respond(HTTPStatus.OK)},
            "/ping": dict.fromkeys(("GET", "POST"), lambda exchange: exchange.respond(HTTPStatus.OK)),
            "/version": {"GET": self._json({"version": vllm_wire.VERSION, "emulated": True})},
            "/load": {"GET": self._load},
            "/metrics": {"GET": self._metrics},
            **({"/server_info": {"GET": self._server_info}} if options.has_server_info else {}),
            "/v1/models": {"GET": self._models},
            "/v1/chat/completions": {"POST": self._chat},
            "/v1/completions": {"POST": self._completion},
            "/tokenize": {"POST": self._tokenize},
            "/detokenize": {"POST": self._detokenize},
            "/is_sleeping": {"GET": self._is_sleeping},
            "/is_paused": {"GET": self._is_paused},
            "/sleep": {"POST": self._job(self._sleep)},
            "/wake_up": {"POST": self._job(self._wake_up)},
            "/collective_rpc": {"POST": self._collective_rpc},
            "/pause": {"POST": self._job(self._pause)},
            "/resume": {"POST": self._resume},
        }

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        try:
            self._route(exchange)(exchange)
        except ApiError as error:
            extra = ""
            if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
                extra = f"allow: {', '.join(sorted(self._routes[exchange.path]))}\r\n"
            is_key = error.status == HTTPStatus.UNAUTHORIZED
            exchange.respond(error.status, error.body, extra=extra, vary=not is_key)

    def close(self) -> None:
        """Cancel what is still being done for clients."""
        for job in self._jobs:
            job.cancel()

    def _route(self, exchange: Exchange) -> Route:
        if self._options.api_key is not None and exchange.path.startswith("/v1"):
            expected = f"Bearer {self._options.api_key}"
            if not compare_digest(exchange.headers.get("authorization", "").encode(), expected.encode()):
                raise vllm_errors.unauthorized()
        methods = self._routes.get(exchange.path)
        if methods is None:
            raise vllm_errors.detail(HTTPStatus.NOT_FOUND)
        route = methods.get(exchange.method)
        if route is None:
            raise vllm_errors.detail(HTTPStatus.METHOD_NOT_ALLOWED)
        return route

    def _chat(self, exchange: Exchange) -> None:
        data = parse_json(exchange.headers.get("content-type", ""), exchange.body)
        self._generate(exchange, parse_chat(data, self._served), "chatcmpl")

    def _completion(self, exchange: Exchange) -> None:
        data = parse_json(exchange.headers.get("content-type", ""), exchange.body)
        self._generate(exchange, parse_completion(data, self._served), "cmpl")

    def _generate(self, exchange: Exchange, request: GenerationRequest, prefix: str) -> None:
        limit = self._options.max_num_queued_reqs
        if limit is not None and self._engine.in_flight >= limit:
            self._engine.metrics.rejections += 1
            raise vllm_errors.overloaded()
        name = exchange.headers.get("x-request-id") or f"{self._rng.getrandbits(64):016x}"
        answer = Answer(exchange, request, Identity(f"{prefix}-{name}", int(self._clock.wall_s())))
        answer.begin()
        self._engine.submit(answer)

    def _models(self, exchange: Exchange) -> None:
        exchange.respond(HTTPStatus.OK, vllm_wire.models(self._served, self._created_s))

    def _load(self, exchange: Exchange) -> None:
        exchange.respond(HTTPStatus.OK, dump({"server_load": self._engine.answers}))

    def _metrics(self, exchange: Exchange) -> None:
        page = self._engine.metrics.render(self._engine.gauges())
        exchange.respond(HTTPStatus.OK, page, content_type=METRICS_TYPE)

    def _server_info(self, exchange: Exchange) -> None:
        form = _choice(exchange, "config_format", ("text", "json"))
        info = vllm_server_info.document(self._engine.spec, self._options.quantization, as_text=form == "text")
        exchange.respond(HTTPStatus.OK, dump(info))

    def _is_sleeping(self, exchange: Exchange) -> None:
        self._engine.sync()
        exchange.respond(HTTPStatus.OK, dump({"is_sleeping": self._engine.sleep_level is not None}))

    def _is_paused(self, exchange: Exchange) -> None:
        self._engine.sync()
        exchange.respond(HTTPStatus.OK, dump({"is_paused": self._engine.is_paused}))

    def _resume(self, exchange: Exchange) -> None:
        self._engine.resume()
        exchange.respond(HTTPStatus.OK, dump({"status": "resumed"}))

    async def _sleep(self, exchange: Exchange) -> bytes:
        level = _choice(exchange, "level", ("1", "0", "2"))
        await self._engine.sleep(int(level), InFlight(_choice(exchange, "mode", tuple(InFlight))))
        return dump({"status": "sleeping", "level": int(level)})

    async def _wake_up(self, exchange: Exchange) -> bytes:
        tags = parse_qs(exchange.query).get("tags")
        await self._engine.wake(tags or PARTS)
        return dump({"status": "awake", "tags": tags})

    def _collective_rpc(self, exchange: Exchange) -> None:
        data = parse_json(exchange.headers.get("content-type", ""), exchange.body)
        if data.get("method") != "reload_weights":
            raise vllm_errors.bad_parameter("only reload_weights is emulated", "method", data.get("method"))
        try:
            self._engine.reload_weights()
        except ValueError as error:
            raise vllm_errors.error(
                HTTPStatus.INTERNAL_SERVER_ERROR, str(error), "Internal Server Error", None
            ) from error
        exchange.respond(HTTPStatus.OK, dump({"results": [None] * self._engine.spec.gpus}))

    async def _pause(self, exchange: Exchange) -> bytes:
        await self._engine.pause(InFlight(_choice(exchange, "mode", tuple(InFlight))))
        return dump({"status": "paused"})

    def _tokenize(self, exchange: Exchange) -> None:
        data = parse_json(exchange.headers.get("content-type", ""), exchange.body)
        prompt, messages = data.get("prompt"), data.get("messages")
        if isinstance(messages, list):
            ids, pieces = tokenizer.encode_chat(messages), None
        elif isinstance(prompt, str):
            ids = tokenizer.encode(prompt)
            pieces = tokenizer.pieces(prompt) if data.get("return_token_strs") else None
        else:
            shown = f"<dict of {len(data)} items>"
            raise vllm_errors.invalid("body.prompt", "missing", "Field required", shown)
        answer = {"count": len(ids), "max_model_len": self._served.max_model_len, "tokens": ids, "token_strs": pieces}
        exchange.respond(HTTPStatus.OK, dump(answer))

    def _detokenize(self, exchange: Exchange) -> None:
        data = parse_json(exchange.headers.get("content-type", ""), exchange.body)
        tokens = data.get("tokens")
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            message = "Input should be a valid list of integers"
            raise vllm_errors.invalid("body.tokens", "list_type", message, str(tokens)[:80])
        exchange.respond(HTTPStatus.OK, dump({"prompt": tokenizer.decode(tokens)}))

    @staticmethod
    def _json(value: object) -> Route:
        body = dump(value)
        return lambda exchange: exchange.respond(HTTPStatus.OK, body)

    def _job(self, job: Job) -> Route:
        """A route whose answer takes time; it goes on when its client leaves, as the engine's work does."""

        async def run(exchange: Exchange) -> None:
            try:
                exchange.respond(HTTPStatus.OK, await job(exchange))
            except ApiError as error:
                exchange.respond(error.status, error.body)

        def begin(exchange: Exchange) -> None:
            task = asyncio.get_running_loop().create_task(run(exchange))
            self._jobs.add(task)
            task.add_done_callback(self._end_job)

        return begin

    def _end_job(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("emulated engine's job failed", exc_info=error)


def _choice(exchange: Exchange, name: str, allowed: tuple[str, ...]) -> str:
    """A query parameter; the first of the allowed values is its default."""
    value = parse_qs(exchange.query).get(name, [allowed[0]])[-1]
    if value not in allowed:
        raise vllm_errors.bad_parameter(
            f"{name} must be one of {', '.join(sorted(allowed))}, got {value}.", name, value
        )
    return value
