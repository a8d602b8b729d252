from __future__ import annotations

from pathlib import Path

import pytest

from controller.settings.file import load
from router.contract import Precision
from tests.fakes.controller_files import MINIMAL, refusal, write


def test_lower_precisions_part_from_the_best_one_more_and_more(tmp_path: Path) -> None:
    shares = load(write(tmp_path, MINIMAL)).emulator.disagreement_frac
    assert Precision.BF16 not in shares
    assert 0 < shares[Precision.FP8] < shares[Precision.INT4] < 1


@pytest.mark.parametrize(
    ("emulator", "says"),
    [
        ("{disagreement_frac: {fp9: 0.1}}", "emulator.disagreement_frac"),
        ("{disagreement_frac: {fp8: 1.5}}", "emulator.disagreement_frac.fp8"),
        ("{initially_on: {bf16: -1}}", "emulator.initially_on.bf16"),
        ("{control_port: 70000}", "emulator.control_port"),
    ],
)
def test_what_cannot_be_emulated_is_refused(tmp_path: Path, emulator: str, says: str) -> None:
    assert says in refusal(tmp_path, f"{MINIMAL}emulator: {emulator}\n")
