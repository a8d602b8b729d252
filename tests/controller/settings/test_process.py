from __future__ import annotations

from pathlib import Path

import pytest

from controller.lifecycle.policy import Mode
from controller.settings.file import load
from tests.fakes.controller_files import MINIMAL, refusal, write


def test_a_new_install_only_observes(tmp_path: Path) -> None:
    assert load(write(tmp_path, MINIMAL)).controller.mode is Mode.OBSERVE


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("on_exit: sleep", "'wake' or 'leave'"),
        ("exit_wait_s: 0", "greater than 0"),
        ("keep_records: 10", "greater than or equal to 10000"),
    ],
)
def test_what_cannot_be_meant_for_the_end_or_the_records_is_refused(tmp_path: Path, line: str, told: str) -> None:
    message = refusal(tmp_path, f"{MINIMAL}controller:\n  {line}\n")
    assert f"controller.{line.partition(':')[0]}" in message
    assert told in message
