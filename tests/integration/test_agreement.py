"""Both models of the simulator agree with the emulator, which serves real HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.simulation.site_router import Request
from tests.bench.agreement.case import CLASS, Window, set_of, site_of
from tests.bench.agreement.emulated import play
from tests.bench.agreement.models import discrete, fluid
from tests.bench.agreement.table import Row
from tests.fakes.system import running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system")]
PER_S = 30
WINDOW = Window(4.0, 12.0)


def short_requests() -> tuple[Request, ...]:
    """Answers of under a second, so that the engines are in their stride when the window begins."""
    count = int(PER_S * (WINDOW.end_s + 1.0))
    return tuple(Request(n, n / PER_S, CLASS, 50 + 37 * n % 251, 10 + 13 * n % 21) for n in range(count))


async def test_power_and_throughput_are_those_of_the_emulator(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", change=set_of(["one"])) as system:
        site = site_of(system.document, "one")
        played = await play(system.emulator, system.document["model"], {"one": site}, {"one": short_requests()}, WINDOW)
    one = played["one"]
    assert len(one.sent) > PER_S * WINDOW.start_s
    assert one.means.tokens_per_s > 100.0
    models = (model(site, one.sent, one.window) for model in (discrete, fluid))
    row = Row(float(PER_S), one.means, *models)
    assert row.agrees, row.deviations()
