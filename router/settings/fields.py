"""What the sections of the configuration file are made of: bounded names, addresses, durations in seconds."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from router.transport.addresses import parse_engine, unix_path
from router.transport.loopback import is_private, readable

MAX_NAME = 63
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_INSTANCE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]*")
MAX_INSTANCE_NAME = 253
"""As long as a pod's name may be."""
_MODE = re.compile(r"0[0-7]{3}")


def _check_name(value: str) -> str:
    if len(value) > MAX_NAME or not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name: use 1 to {MAX_NAME} lower-case letters, digits, '.', '_' and '-', "
            "beginning and ending with a letter or digit"
        )
    return value


def _check_instance_name(value: str) -> str:
    if len(value) > MAX_INSTANCE_NAME or not _INSTANCE.fullmatch(value):
        raise ValueError(
            f"{value!r:.300} is no name of an instance: use 1 to {MAX_INSTANCE_NAME} letters, digits, '.', '_', '-' "
            "and ':', beginning with a letter or digit"
        )
    return value


def _check_engine_url(value: str) -> str:
    parse_engine(value)
    return value.rstrip("/")


def _without_brackets(value: str) -> str:
    """An IPv6 address may be written in brackets, as it is in URLs."""
    return value[1:-1] if value.startswith("[") and value.endswith("]") else value


def _check_unix(value: str) -> str:
    unix_path(value)
    return value


def _check_mode(value: object) -> object:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise ValueError('this is not the mode of a file; write four octal digits in quotes, such as "0660"')
    return value


def check_table_url(value: str) -> str:
    """The address of a table over HTTP, or ValueError, also where it holds credentials that others could read."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError(f"{value!r} is not the address of a table; write http://HOST:PORT/v1/allocation")
    if (parts.username or parts.password) and not is_private(value):
        raise ValueError(readable("the credentials in the address"))
    return value


def _check_host_port(value: str) -> str:
    try:
        parts = urlsplit(f"//{value}")
        is_place = bool(parts.hostname) and bool(parts.port) and parts.netloc == value and "@" not in value
    except ValueError:
        is_place = False
    if not is_place:
        raise ValueError(f"{value!r} is no address; write HOST:PORT")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
HostPort = Annotated[str, AfterValidator(_check_host_port)]
InstanceName = Annotated[str, AfterValidator(_check_instance_name)]
EngineUrl = Annotated[str, AfterValidator(_check_engine_url)]
Host = Annotated[str, AfterValidator(_without_brackets)]
UnixAddress = Annotated[str, AfterValidator(_check_unix)]
Mode = Annotated[str, BeforeValidator(_check_mode)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Group(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def refuse_twins(what: str, names: list[str]) -> None:
    """Raise ValueError where a name appears more than once; `what` names the list."""
    twins = sorted(name for name, count in Counter(names).items() if count > 1)
    if twins:
        raise ValueError(f"{what}: {', '.join(map(repr, twins))} appears more than once")
