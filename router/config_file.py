"""Reading the YAML configuration file: errors name file, line, key and the nearest known key. Pure but for `read`."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from router.errors import SettingsError
from router.yaml_document import YamlDocument

MAX_FILE_BYTES = 4 << 20
MAX_SHOWN = 20
_HIDDEN = "keys"
"""Setting of which no value is shown: it may be a key in place of its digest."""
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)?(.*@)", re.DOTALL | re.IGNORECASE)
_OPTION = re.compile(r"([?&][^=&]*)=[^&]*")
Model = TypeVar("Model", bound=BaseModel)
Lines = dict[tuple[str | int, ...], int]


def load(path: Path, model: type[Model], ignore: tuple[str, ...] = ()) -> Model:
    """Read `path` and validate it as `model`, leaving out the top-level keys named in `ignore`.

    Raises:
        SettingsError: file, line, key, value and remedy for each fault, at most twenty of them.
    """
    return parse(read(path), model, name=str(path), ignore=ignore)


def read(path: Path, *, name: str | None = None, max_bytes: int | None = None) -> str:
    """Text of a file.

    Args:
        path: of the file.
        name: which file it is, for messages; None for the configuration file.
        max_bytes: most it may have; `MAX_FILE_BYTES` where absent.

    Raises:
        SettingsError: the file is absent, unreadable, too large or not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = f"the {name} file cannot be read: {error.strerror}" if name else f"cannot be read: {error.strerror}"
        if name is None and isinstance(error, FileNotFoundError):
            reason = "no such file; examples are in deploy/examples/"
        raise SettingsError(f"{path}: {reason}") from error
    question = f"is this the {name or 'right'} file?"
    most = MAX_FILE_BYTES if max_bytes is None else max_bytes
    if len(raw) > most:
        raise SettingsError(f"{path}: {len(raw)} bytes, more than {most}; {question}")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 text at byte {error.start}; {question}") from error


def parse(text: str, model: type[Model], name: str, ignore: tuple[str, ...] = ()) -> Model:
    """Validate YAML text as `model`; see `load`."""
    document = YamlDocument(text, name)
    node = document.root
    data = None if node is None else document.value(node)
    if data is None:
        raise SettingsError(f"{name}: the file is empty; examples are in deploy/examples/")
    if not isinstance(data, dict):
        raise SettingsError(f"{name}:1: a mapping of sections is expected, not {type(data).__name__}")
    kept = {key: value for key, value in data.items() if key not in ignore}
    try:
        return model.model_validate(kept)
    except ValidationError as error:
        lines: Lines = {}
        _collect_lines(node, (), lines)
        details = causes(error.errors())
        shown = [_describe(detail, model, name, lines, ignore) for detail in details[:MAX_SHOWN]]
        left = len(details) - len(shown)
        raise SettingsError("\n".join([*shown, *([f"... and {left} more"] if left > 0 else [])])) from error


def causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Details without those that only follow from a fault further inside, such as a tuple short of its bad items."""

    def follows(detail: ErrorDetails) -> bool:
        depth = len(detail["loc"])
        return detail["type"] == "too_short" and any(
            len(other["loc"]) > depth and other["loc"][:depth] == detail["loc"] for other in details
        )

    return [detail for detail in details if not follows(detail)]


def _collect_lines(node: yaml.Node | None, path: tuple[str | int, ...], lines: Lines) -> None:
    if node is None:
        return
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[(*path, key.value)] = key.start_mark.line + 1
            _collect_lines(value, (*path, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*path, index), lines)


def _describe(detail: ErrorDetails, model: type[BaseModel], name: str, lines: Lines, ignore: tuple[str, ...]) -> str:
    path = detail["loc"]
    while path and path not in lines:
        path = path[:-1]
    where = f"{name}:{lines.get(path, 1)}"
    key = ".".join(map(str, detail["loc"])) or "file"
    if detail["type"] == "extra_forbidden":
        unknown = str(detail["loc"][-1])
        # Where the kind of a group is chosen by a key, another kind may have the very key that this one lacks.
        known = [name for name in (*_known_keys(model, detail["loc"][:-1]), *ignore) if name != unknown]
        near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
        return f"{where}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "; remove it")
    if detail["type"] == "missing":
        return f"{where}: required key {key!r} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    written = detail["input"]
    if _HIDDEN in detail["loc"] or isinstance(written, dict | list | BaseModel):
        return f"{where}: {key}: {message}"
    if isinstance(written, str) and ("://" in written or "@" in written):
        held = _CREDENTIALS.match(written)
        shown = _without_secrets(written)
        message = _replaced(message, written, shown)
        message = message if held is None else _replaced(message, held[2], "***@")
        written = shown
    return f"{where}: {key}: {message} (got {written!r:.120})"


def _replaced(message: str, secret: str, shown: str) -> str:
    """A message without a secret, also where it shows it with its escapes."""
    return message.replace(secret, shown).replace(repr(secret)[1:-1], shown)


def _without_secrets(address: str) -> str:
    """An address without what may be a secret: all before the last @, as nobody escapes a password, and its options."""
    return _OPTION.sub(r"\1=***", _CREDENTIALS.sub(r"\g<1>***@", address))


def _known_keys(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Field names of the settings group at `path` inside `model`."""
    groups: list[type[BaseModel]] = [model]
    for step in path:
        fields = [group.model_fields[str(step)] for group in groups if str(step) in group.model_fields]
        if fields:
            groups = [group for field in fields for group in _groups_in(field.annotation)]
    return [name for group in groups for name in group.model_fields]


def _groups_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, tuple, list, dict) or hasattr(annotation, "__metadata__"):
        return [group for part in get_args(annotation) for group in _groups_in(part)]
    return []
