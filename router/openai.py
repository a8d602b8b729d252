"""The few fields of OpenAI-shaped requests and answers that routing needs. Pure.

Nothing here changes what passes through: requests are read once, answers only at their tail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any
from zlib import crc32

import msgspec

PREFIX_BYTES = 2048
"""How much of each message tells prompts apart: about the 512 tokens of a cache's block."""
PREFIX_MESSAGES = 8
"""How many messages are looked at for the first one of the user."""
_MAX_LISTED_BYTES = 65_536
_BRACKET = ord("[")

_COMPACT_USAGE = b'"usage":{'
_LOOSE_USAGE = re.compile(rb'"usage"\s*:\s*\{')


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What routing reads of a request; a field is None where the client sent none or one of another type.

    Attributes:
        model: name of the model as sent, with its pin (``name@precision``) if it has one.
        stream: whether an event stream is asked for.
        include_usage: whether the client asked for usage at the stream's end.
        max_tokens: most output tokens the client accepts.
        service_tier: OpenAI's ``service_tier``.
        session_key: ``prompt_cache_key``, else ``user``: requests with one key share a prefix.
        prefix: position of the beginning of its prompt (see `affinity`), where it was read.
        body_bytes: size of the body.
        valid: whether the body is a JSON object; all else is None or False where it is not.
    """

    model: str | None = None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    service_tier: str | None = None
    session_key: str | None = None
    prefix: int | None = None
    body_bytes: int = 0
    valid: bool = False


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer as counted by the engine."""

    input_tokens: int
    output_tokens: int


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Fields(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    max_output_tokens: _Count | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None


class _Message(msgspec.Struct, gc=False):
    role: str | None = None
    content: msgspec.Raw = msgspec.Raw()


class _PromptFields(_Fields, gc=False):
    messages: list[_Message] | None = None
    prompt: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()


class _LooseFields(msgspec.Struct):
    # Any rather than exact types: a wrongly typed field is the engine's to refuse, and must not hide the others.
    model: Any = None
    stream: Any = None
    stream_options: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    service_tier: Any = None
    prompt_cache_key: Any = None
    user: Any = None


_Tokens = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class _UsageFields(msgspec.Struct):
    # Chat and text completions count prompt and completion; the Responses and Messages forms count input and output.
    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None
    input_tokens: _Tokens | None = None
    output_tokens: _Tokens | None = None


_request_decoder = msgspec.json.Decoder(_Fields)
_prompt_decoder = msgspec.json.Decoder(_PromptFields)
_messages_decoder = msgspec.json.Decoder(list[_Message])
_loose_decoder = msgspec.json.Decoder(_LooseFields)
_usage_decoder = msgspec.json.Decoder(_UsageFields)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_facts(body: bytes | bytearray) -> RequestFacts:
    """Read the fields of a request body; never raises.

    The prompt is skipped, not built, so the cost grows by a scan of the bytes only.
    """
    try:
        fields = _request_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_loosely(body)
    return _facts_of(fields, len(body), None)


def read_facts_and_prefix(body: bytes | bytearray) -> RequestFacts:
    """As `read_facts`, with the position of the prompt's beginning where the body has a prompt."""
    try:
        fields = _prompt_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return read_facts(body)
    messages, size = fields.messages, len(body)
    if messages is None:
        return _facts_of(fields, size, _prefix_of_prompt(fields.prompt, fields.input))
    return _facts_of(fields, size, _prefix_of(messages, size))


def _facts_of(fields: _Fields, body_bytes: int, prefix: int | None) -> RequestFacts:
    options, max_tokens = fields.stream_options, fields.max_completion_tokens
    if max_tokens is None:
        max_tokens = fields.max_tokens if fields.max_tokens is not None else fields.max_output_tokens
    return RequestFacts(
        model=fields.model or None,
        stream=fields.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_tokens=max_tokens,
        service_tier=fields.service_tier or None,
        session_key=fields.prompt_cache_key or fields.user or None,
        prefix=prefix,
        body_bytes=body_bytes,
        valid=True,
    )


def _prefix_of(messages: Sequence[_Message], body_bytes: int) -> int | None:
    """Position of what comes first: all up to the user's first message, which every later turn of a chat repeats.

    So the turns of one chat have one position. Chats with one system prompt and different questions have different
    ones: a system prompt that many use is soon in every instance's cache, and must not draw them all to one instance.
    """
    position = 0
    is_short = body_bytes <= PREFIX_BYTES  # then no message has to be cut, and that takes as long as the hash
    for message in messages[:PREFIX_MESSAGES]:
        content = message.content
        position = crc32(content if is_short else memoryview(content)[:PREFIX_BYTES], position)
        if message.role == "user":
            break
    return position if messages else None


def _prefix_of_prompt(prompt: msgspec.Raw, responses_input: msgspec.Raw) -> int | None:
    """Position of the beginning of a text completion's prompt or of a response's input: a text, or messages."""
    raw = memoryview(prompt) or memoryview(responses_input)
    if not raw:
        return None
    if raw[0] == _BRACKET and raw.nbytes <= _MAX_LISTED_BYTES:
        try:
            return _prefix_of(_messages_decoder.decode(raw), raw.nbytes)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # a list of texts or tokens
    return crc32(raw[:PREFIX_BYTES])


def _read_loosely(body: bytes | bytearray) -> RequestFacts:
    """Read what can be read where a field is of the wrong type."""
    try:
        fields = _loose_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return RequestFacts(body_bytes=len(body))
    options = fields.stream_options
    return RequestFacts(
        model=_text(fields.model),
        stream=fields.stream is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        max_tokens=_count(fields.max_completion_tokens, fields.max_tokens, fields.max_output_tokens),
        service_tier=_text(fields.service_tier),
        session_key=_text(fields.prompt_cache_key) or _text(fields.user),
        body_bytes=len(body),
        valid=True,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(*values: object) -> int | None:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def with_model(body: bytes | bytearray, model: str) -> bytes:
    """The same request body for another model name; every other member keeps its bytes and its order.

    Raises:
        ValueError: `body` is not a JSON object.
    """
    try:
        members = _members_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the body is not a JSON object ({error}); its model cannot be replaced") from error
    members["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(members)


def usage_in_tail(tail: bytes | bytearray) -> Usage | None:
    """Usage in the last bytes of an event stream or of a JSON answer, or None if there is none.

    A few hundred bytes suffice for a stream. Chunk-size lines of the transfer coding may be among the bytes, as
    long as none of them splits the usage object.
    """
    start = tail.rfind(_COMPACT_USAGE)
    start = start + len(_COMPACT_USAGE) - 1 if start >= 0 else _loose_usage_start(tail)
    end = _object_end(tail, start) if start >= 0 else None
    if end is None:
        return None
    try:
        fields = _usage_decoder.decode(tail[start:end])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    input_tokens = fields.prompt_tokens if fields.prompt_tokens is not None else fields.input_tokens
    output_tokens = fields.completion_tokens if fields.completion_tokens is not None else fields.output_tokens
    if input_tokens is None and output_tokens is None:
        return None
    return Usage(input_tokens or 0, output_tokens or 0)


def _loose_usage_start(tail: bytes | bytearray) -> int:
    """Where the last usage object opens in JSON written with spaces, or -1."""
    start = -1
    for found in _LOOSE_USAGE.finditer(tail):
        start = found.end() - 1
    return start


def _object_end(data: bytes | bytearray, start: int) -> int | None:
    """Index after the object that opens at `start`; usage objects hold no strings with braces."""
    end = data.find(b"}", start)
    if data.find(b"{", start + 1, end) < 0:
        return end + 1 if end >= 0 else None
    while end >= 0:
        if data.count(b"{", start, end) == data.count(b"}", start, end + 1):
            return end + 1
        end = data.find(b"}", end + 1)
    return None


def error_body(message: str, *, type_: str, code: int | str, param: str | None = None) -> bytes:
    """An error as vLLM and OpenAI write it: ``{"error": {"message", "type", "param", "code"}}``.

    vLLM's `code` is the status, OpenAI's a word.
    """
    return msgspec.json.encode({"error": {"message": message, "type": type_, "param": param, "code": code}})
