"""The controller dies, stands still and has its clock moved while an event is in force; the grid is emulated."""

from __future__ import annotations

import functools
import json
import signal
from pathlib import Path

import pytest

from tests.fakes.grid_links import LIMIT_W, GridSite, site_in_event
from tests.fakes.system import get

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(300)]
STEPS = "wattroute_controller_clock_steps_total"


def test_a_limit_is_kept_while_the_controller_is_dead_or_stands_still(tmp_path: Path) -> None:
    with site_in_event(tmp_path) as site:
        controller = site.system.processes["controller"]
        controller.send_signal(signal.SIGSTOP)
        site.until(lambda: table(site) == "static", "the table expires while the controller stands still")
        site.stays_met(6)
        controller.send_signal(signal.SIGCONT)
        site.until(lambda: table(site) == "fresh", "tables come again")
        site.stays_met(3)
        assert site.limit_w() == LIMIT_W

        site.system.kill("controller")
        site.until(lambda: table(site) == "static", "the table expires without a controller")
        site.stays_met(6)
        site.vtn("fail", "/", 503)
        site.system.start("controller")
        site.until(lambda: site.limit_w() == LIMIT_W, "the event is in force again, though the VTN is not there")
        site.until(lambda: table(site) == "fresh", "tables come again")
        site.stays_met(6)
        assert site.load.lost() == {}


def test_a_clock_that_is_set_to_another_time_of_the_event_lifts_no_limit(tmp_path: Path) -> None:
    with site_in_event(tmp_path, oddly=True) as site:
        for clock_s in (120.0, -10.0, -7200.0, 7200.0, 0.0):
            steps = site.metric(STEPS)
            (tmp_path / "odd.json").write_text(json.dumps({"clock_s": clock_s}))
            site.until(functools.partial(is_above, site, steps), "the step is counted")
            site.stays_met(6)
            assert site.limit_w() == LIMIT_W, f"the clock was set to {clock_s:+g} s"
        assert site.load.lost() == {}


def test_a_clock_that_is_set_while_the_controller_is_dead_lifts_no_limit(tmp_path: Path) -> None:
    with site_in_event(tmp_path, oddly=True) as site:
        site.until(lambda: (tmp_path / "grid.json").exists(), "what the clocks show is kept")
        site.system.kill("controller")
        site.vtn("fail", "/", 503)
        (tmp_path / "odd.json").write_text(json.dumps({"clock_s": -7200.0}))
        site.system.start("controller")
        site.until(lambda: site.limit_w() == LIMIT_W, "the event is in force, though the clock shows a time before it")
        state = site.state()["grid"]
        assert (state["clock"]["state"], state["clock"]["calls_by_former_course"]) == ("unknown", 1)
        site.stays_met(6)
        assert site.metric(STEPS) == 1


def is_above(site: GridSite, steps: float) -> bool:
    return site.metric(STEPS) > steps


def table(site: GridSite) -> str:
    return str(json.loads(get(f"{site.system.admin}/state")[1])["table"]["state"])
