"""What the sections of the configuration file are made of: bounded names, addresses, durations in seconds."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_NAME = 63
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def _check_name(value: str) -> str:
    if len(value) > MAX_NAME or not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name: use 1 to {MAX_NAME} lower-case letters, digits, '.', '_' and '-', "
            "beginning and ending with a letter or digit"
        )
    return value


def _check_engine_url(value: str) -> str:
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{value!r} has no usable port ({error}); write http://HOST:PORT") from error
    if parts.scheme != "http" or not parts.hostname or port is None:
        raise ValueError(f"{value!r} is not an engine's address; write http://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{value!r} has more than host and port; write http://HOST:PORT")
    return value.rstrip("/")


def check_table_url(value: str) -> str:
    """The address of a table over HTTP, or ValueError."""
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError(f"{value!r} is not the address of a table; write http://HOST:PORT/v1/allocation")
    return value


def check_redis_url(value: str) -> str:
    """The address of a Redis, or ValueError without the value, which may hold a password."""
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("this is not the address of a Redis; write redis://HOST:PORT/DB")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
EngineUrl = Annotated[str, AfterValidator(_check_engine_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Group(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def refuse_twins(what: str, names: list[str]) -> None:
    """Raise ValueError where a name appears more than once; `what` names the list."""
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{what}: {', '.join(map(repr, twins))} appears more than once")
