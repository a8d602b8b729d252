"""Reads what a VTN answers beside its objects: problems, tokens, and where tokens are had."""

from __future__ import annotations

from controller.errors import MessageError
from controller.openadr.fields import MAX_NAME, Fields, decode, shown, text
from controller.openadr.messages import Problem, Token

MAX_WORDS = 300
"""Characters of a problem's words that are told."""
MAX_TOKEN = 16_384
"""Characters of a token; the specification has 4096, some servers' are longer."""


def read_problem(body: bytes | str) -> Problem:
    """An error as the VTN tells it; of a body that is none, what it begins with."""
    try:
        fields = Fields.of(decode(body, "problem"), "problem")
        status = fields.optional_integer("status")
        words = [fields.text(key) for key in ("title", "detail", "type", "instance")]
        if not any(words):
            words[0] = fields.text("error")
            words[1] = fields.text("error_description")
        return Problem(status, *(None if word is None else _plain(word) for word in words))
    except MessageError:
        beginning = body[:200] if isinstance(body, str) else body[:200].decode("utf-8", "replace")
        return Problem(title=_plain(beginning) or None)


def _plain(words: str) -> str:
    """Words of a stranger, fit for a line of a log."""
    return "".join(char if char.isprintable() else " " for char in words[:MAX_WORDS]).strip()


def read_token(body: bytes) -> Token:
    """The answer of a token endpoint (RFC 6749 §5.1).

    Raises:
        MessageError: it is not JSON, or no bearer token; the text does not hold the token.
    """
    fields = Fields.of(decode(body, "token"), "token")
    found = fields.data.get("access_token")
    if not isinstance(found, str) or not 0 < len(found) <= MAX_TOKEN or not found.isascii() or not found.isprintable():
        raise MessageError("token.access_token", f"it is not a text of 1 to {MAX_TOKEN} characters of a header")
    kind = fields.text("token_type", MAX_NAME)
    if kind is not None and kind.lower() != "bearer":
        raise MessageError("token.token_type", f"{shown(kind)} is not Bearer")
    expires_in_s = fields.number("expires_in")
    return Token(found, None if expires_in_s is None else max(0.0, expires_in_s))


def read_token_url(body: bytes) -> str:
    """Where tokens are had, of the answer to ``/auth/server``.

    Raises:
        MessageError: it does not say.
    """
    return text(Fields.of(decode(body, "auth.server"), "auth.server").value("tokenURL"), "auth.server.tokenURL")
