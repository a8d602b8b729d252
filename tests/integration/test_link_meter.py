"""The site's meter is cut in every way while an event is in force; Prometheus is real, the meter behind it emulated."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.grid_links import LIMIT_W, GridSite, site_in_event
from tests.fakes.prometheus import running_prometheus
from tests.fakes.site_meter import SiteMeter, served

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(300)]


async def test_a_limit_is_kept_without_the_meter_and_whatever_it_says(tmp_path: Path) -> None:
    meter = SiteMeter()
    async with served(meter) as address, running_prometheus(tmp_path, address) as server:
        source = {"kind": "promql", "url": server.url, "power_query": "site_meter_watts[30s]", "unit": "W"}

        def change(document: dict[str, Any]) -> None:
            meter.emulator = f"http://127.0.0.1:{document['emulator']['control_port']}"
            document["signals"]["meter"] = [{**source, "positive": "import"}]
            document["signals"]["stale_s"] = 5
            document["signals"]["power_ladder"] = {"site_conflict_frac": 0.05, "alarm_after_s": 2, "hold_s": 2}

        def play() -> None:
            with site_in_event(tmp_path, change) as site:
                site.until(lambda: rung(site) == "meter", "the meter is stood on")
                margin_frac = site.state()["power"]["margin_frac"]

                meter.says = "5.0"  # as a meter that counts kW, or a phase
                site.until(lambda: site.state()["power"]["conflicts"] == ["site"], "the alarm of a wrong meter")
                site.stays_met(3)
                assert site.state()["power"]["measured_w"] > 1000, "the lower of two that disagree is not believed"
                meter.says = None
                site.until(lambda: site.state()["power"]["conflicts"] == [], "the end of the alarm")

                for garbage in ("NaN", "1e30"):
                    meter.says = garbage
                    site.until(lambda: rung(site) == "dcgm", f"a meter that says {garbage} is left")
                    assert site.state()["power"]["margin_frac"] >= margin_frac
                    meter.says = None
                    site.until(lambda: rung(site) == "meter", "the meter is back")

                server.process.send_signal(signal.SIGSTOP)
                site.until(lambda: rung(site) == "dcgm", "a Prometheus that hangs is left")
                site.stays_met(3)
                server.process.send_signal(signal.SIGCONT)
                site.until(lambda: rung(site) == "meter", "the meter is back")
                server.process.kill()
                site.until(lambda: rung(site) == "dcgm", "a Prometheus that is gone is left")
                site.stays_met(3)
                assert site.limit_w() == LIMIT_W
                assert site.load.lost() == {}

        await asyncio.to_thread(play)


def rung(site: GridSite) -> str:
    return str(site.state()["power"]["rung"])
