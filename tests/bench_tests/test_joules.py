import re

import pytest

from tests.bench import joules


class Emulator:
    emulator = "http://emulator"


def test_energy_told_is_summed_and_unknown_is_not_zero():
    total = joules.Sum()
    for value in ("10.5;unit=J;source=emulated;idle=shared", "unknown", None, "2"):
        total.add(value)
    assert (total.energy_j, total.told, total.unknown) == (12.5, 2, 2)


def test_the_comment_is_found_in_a_stream():
    stream = b"data: {}\n\n: x-wattroute-energy: 3.25;unit=J;source=emulated;idle=kept\n\ndata: [DONE]\n\n"
    assert re.search(joules._TOLD, stream)[1] == b"3.25"


def test_the_emulators_energy_is_that_of_the_instances(monkeypatch):
    text = (
        'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{UUID="GPU-emulated-bf16-0-0"} 2000\n'
        'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{UUID="GPU-emulated-spare-0"} 7000\n'
    )
    monkeypatch.setattr(joules, "get", lambda url: (200, text.encode()))
    assert joules.emulated_j(Emulator()) == pytest.approx(2.0)
