from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.controller_files import MINIMAL, refusal


@pytest.mark.parametrize("value", ["-1", ".inf", ".nan", "abc", "{}"])
def test_a_limit_that_is_no_power_is_refused(tmp_path: Path, value: str) -> None:
    assert "site.import_limit_w" in refusal(tmp_path, MINIMAL + f"site: {{import_limit_w: {value}}}\n")
