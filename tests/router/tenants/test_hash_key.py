"""The command that makes digests; a key is never an argument of it."""

from __future__ import annotations

import hashlib
import io

import pytest

from router.errors import SettingsError
from router.tenants import hash_key
from router.tenants.keys import digest_of, read_digest

KEY = "sk-0123456789abcdef"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_key_is_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    hash_key.run([])
    assert capsys.readouterr().out == f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}\n"


def test_on_a_terminal_it_is_asked_for_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: KEY)
    hash_key.run([])
    assert read_digest(capsys.readouterr().out.strip()) == digest_of(KEY.encode())


def test_a_new_key_is_told_apart_from_its_digest(capsys: pytest.CaptureFixture[str]) -> None:
    keys = set()
    for _ in range(3):
        hash_key.run(["--generate"])
        told = capsys.readouterr()
        key = told.err.strip()
        assert read_digest(told.out.strip()) == digest_of(key.encode())
        assert len(key) >= 40
        keys.add(key)
    assert len(keys) == 3


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "a" * 15, "two words of text", f"{KEY}\n{KEY}", "ключ-ключ-ключ-ключ"]
)
def test_what_is_no_key_or_can_be_guessed_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(SettingsError):
        hash_key.run([])


def test_a_key_as_an_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        hash_key.run([KEY])
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""
