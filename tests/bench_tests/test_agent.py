"""What reading GPUs costs is measured on all of them, and told with their number."""

from __future__ import annotations

import pytest

from tests.bench import agent
from tests.fakes.nvml.stub import needs_a_compiler


@needs_a_compiler
def test_each_case_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert agent.main([(2, 10)], seconds=0.5) == 0
    told = capsys.readouterr().out
    assert "EMULATED" in told
    (row,) = [line for line in told.splitlines() if line.startswith("| 2 | 10 | ")]
    assert row.endswith(" % |")


def test_without_a_compiler_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "COMPILER", None)
    assert agent.main() == 2
    assert "apt-get install gcc" in capsys.readouterr().err
