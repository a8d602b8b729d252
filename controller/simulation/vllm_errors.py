"""Error answers of a vLLM server, as 0.32 words them. Pure."""

from __future__ import annotations

import json
from http import HTTPStatus


class ApiError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
        body: JSON body.
    """

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def error(status: int, message: str, kind: str, param: str | None) -> ApiError:
    """An error in OpenAI's envelope."""
    return ApiError(status, {"error": {"message": message, "type": kind, "param": param, "code": status}})


def bad_request(message: str, param: str | None = None) -> ApiError:
    """A well-formed request whose values cannot be served."""
    return error(HTTPStatus.BAD_REQUEST, message, "BadRequestError", param)


def bad_parameter(message: str, param: str, value: object) -> ApiError:
    """A parameter with a value out of range."""
    return bad_request(f"{message} (parameter={param}, value={value})", param)


def invalid(place: str, kind: str, message: str, given: str, context: str | None = None) -> ApiError:
    """A body that does not validate; `place` is e.g. ``body.messages``."""
    detail = f"'type': '{kind}', 'loc': '{place}', 'msg': '{message}', 'input': {given!r}"
    if context is not None:
        detail += f", 'ctx': {{'error': '{context}'}}"
    text = f"1 validation error:\n  {{{detail}}}"
    return error(HTTPStatus.BAD_REQUEST, text, "Bad Request", place)


def unsupported_media_type() -> ApiError:
    """A body that is not declared as JSON."""
    text = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
    return error(HTTPStatus.BAD_REQUEST, text, "Bad Request", None)


def unknown_model(name: str, served: str) -> ApiError:
    """A model that is not served here."""
    text = f"The model `{name}` does not exist. Valid aliases: {served}."
    return error(HTTPStatus.NOT_FOUND, text, "NotFoundError", "model")


def too_long(max_model_len: int) -> ApiError:
    """A prompt that leaves no room for an answer. vLLM stops counting one token past the limit."""
    text = (
        f"This model's maximum context length is {max_model_len} tokens. However, your prompt contains at least "
        f"{max_model_len + 1} input tokens, which exceeds this limit even without any output tokens. "
        "Please reduce the length of the input prompt."
    )
    return bad_parameter(text, "input_tokens", max_model_len + 1)


def overloaded() -> ApiError:
    """More requests than `max_num_queued_reqs` allows."""
    text = (
        "The engine is currently busy and cannot accept new requests. "
        "Please try again later or on a different instance."
    )
    return error(HTTPStatus.SERVICE_UNAVAILABLE, text, "Service Unavailable", None)


def unauthorized() -> ApiError:
    """A wrong or missing API key."""
    return ApiError(HTTPStatus.UNAUTHORIZED, {"error": "Unauthorized"})


def detail(status: int) -> ApiError:
    """An answer of the web framework itself, e.g. for an unknown path."""
    return ApiError(status, {"detail": HTTPStatus(status).phrase})


def unreadable_body() -> ApiError:
    """A body that is not text, e.g. a compressed one."""
    return ApiError(HTTPStatus.BAD_REQUEST, {"detail": "There was an error parsing the body"})


def not_emulated(field: str) -> ApiError:
    """Something that vLLM serves and the emulator does not."""
    return bad_request(f"{field} is not emulated; the emulator serves plain text answers only", field)
