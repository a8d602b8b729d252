"""Who may change something through the API.

With a token configured, changing requests carry it. Without one, they must come from this machine and name it as
their host, so that neither another machine nor a web page that resolves its own name to this one can send them.
"""

from __future__ import annotations

import logging
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.http import bearer_token
from router.transport.loopback import is_loopback_address

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "WATTROUTE_CONTROLLER_TOKEN"
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]", "::1"))


def load_token(file: Path | None, environment: dict[str, str]) -> str | None:
    """The operators' token: from the file, else from the environment, else None.

    Raises:
        ConfigError: the file cannot be read, or the token is too short to protect anything or fits no header.
    """
    return bearer_token.load_token(file, environment, key="controller.token_file", variable=TOKEN_VARIABLE)


def guard(token: str | None) -> Middleware:
    """Middleware that refuses changing requests which may not be made."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in _SAFE_METHODS:
            refusal = _refusal(request, token)
            if refusal is not None:
                log.warning("request refused", extra={"peer": request.remote, "path": request.path, "reason": refusal})
                status = 401 if token else 403
                return error_response(status, refusal, "permission_error")
        return await handler(request)

    return middleware


def error_response(status: int, message: str, kind: str = "invalid_request_error") -> web.Response:
    """An error body as OpenAI's API has them."""
    return web.json_response({"error": {"message": message, "type": kind, "code": status}}, status=status)


def _refusal(request: web.Request, token: str | None) -> str | None:
    if token is not None:
        if bearer_token.is_shown(request.headers.get("Authorization", ""), token):
            return None
        return "a bearer token is needed; send the header 'Authorization: Bearer TOKEN'"
    if not is_loopback_address(request.remote):
        return "without a token only this machine may change anything; set controller.token_file"
    name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if name not in _LOCAL_NAMES:
        return f"without a token the host must be localhost or 127.0.0.1, not {name!r:.80}"
    return None
