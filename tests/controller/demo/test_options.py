from __future__ import annotations

from pathlib import Path

import pytest

from controller.demo.options import DemoOptions
from controller.errors import ConfigError


def test_the_defaults_can_be_run() -> None:
    DemoOptions().check()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (DemoOptions(seconds=5), "--seconds 5 is too short"),
        (DemoOptions(seconds=float("nan")), "--seconds nan is too short"),
        (DemoOptions(speed=0), "--speed 0 is not between 0.1 and 50"),
        (DemoOptions(json_file=Path("/nowhere/at/all/out.json")), "there is no folder /nowhere/at/all; make it"),
    ],
)
def test_what_cannot_be_run_is_refused(options: DemoOptions, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        options.check()
