"""Reading the Prometheus text exposition format.

Engines and exporters expose thousands of samples of which a tick needs a few, so only the wanted names are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

MAX_SAMPLES = 200_000
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")
_UNESCAPED = {"n": "\n", "\\": "\\", '"': '"'}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample; its value may be NaN or infinite, as the format allows."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse(text: str, names: Collection[str]) -> Iterator[Sample]:
    """Samples of the wanted names, in the order of the text; other lines are passed over.

    Raises:
        ValueError: a line of a wanted name is malformed, or there are more samples than `MAX_SAMPLES`.
    """
    found = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line[0] == "#":
            continue
        name = line[: _name_end(line)]
        if name not in names:
            continue
        found += 1
        if found > MAX_SAMPLES:
            raise ValueError(f"line {number}: more than {MAX_SAMPLES} samples")
        yield _sample(name, line, number)


def _name_end(line: str) -> int:
    for index, character in enumerate(line):
        if character in "{ \t":
            return index
    return len(line)


def _sample(name: str, line: str, number: int) -> Sample:
    rest = line[len(name) :].lstrip()
    labels: dict[str, str] = {}
    if rest.startswith("{"):
        closing = _closing_brace(rest)
        if closing < 0:
            raise ValueError(f"line {number}: labels of {name} do not end")
        labels = _labels(rest[1:closing], number)
        rest = rest[closing + 1 :]
    fields = rest.split()
    if not 1 <= len(fields) <= 2:
        raise ValueError(f"line {number}: {name} has no single value")
    try:
        return Sample(name, labels, float(fields[0]))
    except ValueError as error:
        raise ValueError(f"line {number}: {name} has the value {fields[0]!r:.40}, not a number") from error


def _closing_brace(text: str) -> int:
    """Index of the brace that ends the labels, which may themselves hold braces in quotes; -1 where there is none."""
    quoted = escaped = False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
        elif character == "}" and not quoted:
            return index
    return -1


def _labels(text: str, number: int) -> dict[str, str]:
    labels: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _LABEL.match(text, position)
        if match is None:
            raise ValueError(f"line {number}: malformed labels at {text[position : position + 40]!r}")
        value = match[2]
        labels[match[1]] = _ESCAPE.sub(lambda m: _UNESCAPED.get(m[1], m[0]), value) if "\\" in value else value
        position = match.end()
    return labels
