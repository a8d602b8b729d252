"""Parts of a YAML text become values, and faults are told by line."""

from __future__ import annotations

import datetime

import pytest

from router.errors import SettingsError
from router.yaml_document import YamlDocument


def value(text: str, *, is_secret: bool = False) -> object:
    document = YamlDocument(text, "w.yaml", is_secret=is_secret)
    return None if document.root is None else document.value(document.root)


def refusal(text: str, *, is_secret: bool = False) -> str:
    with pytest.raises(SettingsError) as caught:
        value(text, is_secret=is_secret)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: [1, b, {c: 2026-01-02}]", {"a": [1, "b", {"c": datetime.date(2026, 1, 2)}]}),
        ("a: &x [1]\nb: *x\nc: *x\n", {"a": [1], "b": [1], "c": [1]}),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, p: 3}\n", {"a": {"p": 1, "q": 2}, "b": {"p": 3, "q": 2}}),
        ("", None),
        ("# nothing\n", None),
    ],
)
def test_what_a_text_stands_for(text: str, found: object) -> None:
    assert value(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: {c: 1,\n c: 2}\n", "w.yaml:3: not valid YAML: key 'c' appears twice"),
        ("a: [", "w.yaml:2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "w.yaml:2: not valid YAML"),
        ("a: 2027-13-45\n", "w.yaml: not valid YAML: month must be in 1..12"),
        ("? [a]\n: 1\n", "w.yaml:1: not valid YAML: found unhashable key"),
        ("a: &x [*x]\n", "w.yaml:1: not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "w.yaml:1: not valid YAML"),
        ("[" * 100_000, "w.yaml:1: more than 100 lists and mappings within each other"),
        ("- " * 50_000 + "a", "w.yaml:1: more than 100 lists"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, said: str) -> None:
    assert refusal(text).startswith(said)


def test_of_what_may_be_secret_nothing_is_shown() -> None:
    assert refusal("sk-1: a\nsk-1: b\n", is_secret=True) == "w.yaml:2: not valid YAML: a setting appears twice"
