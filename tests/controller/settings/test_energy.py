from __future__ import annotations

from pathlib import Path

import pytest

from controller.energy.attribution import IdlePolicy
from controller.settings.file import load
from tests.fakes.controller_files import MINIMAL, refusal, write


def test_requests_share_idle_energy_and_are_settled_every_minute_by_default(tmp_path: Path) -> None:
    energy = load(write(tmp_path, MINIMAL)).energy
    assert (energy.idle, energy.settle_s) == (IdlePolicy.SHARED, 60.0)


@pytest.mark.parametrize(
    ("energy", "says"),
    [
        ("{idle: lost}", "'shared' or 'kept'"),
        ("{settle_s: 1}", "energy.settle_s"),
        ("{settle_s: .nan}", "energy.settle_s"),
        ("{settle: 60}", "did you mean 'settle_s'?"),
    ],
)
def test_an_account_that_cannot_be_kept_is_refused(tmp_path: Path, energy: str, says: str) -> None:
    assert says in refusal(tmp_path, f"{MINIMAL}energy: {energy}\n")
