"""The solver breaks in every way while an event is in force: made to, in a controller that else is the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.grid_links import LIMIT_W, site_in_event

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(300)]


def test_a_limit_is_kept_whatever_the_solver_does(tmp_path: Path) -> None:
    with site_in_event(tmp_path, oddly=True) as site:
        odd = tmp_path / "odd.json"

        def steps() -> set[str]:
            return {step["step"] for step in site.state()["ladder"] if step["ladder"] == "plan"}

        for how in ("error", "stuck", "fault"):
            odd.write_text(json.dumps({"solver": how}))
            site.until(lambda: bool(steps()), f"a solver's {how} is a step down, and told")
            site.stays_met(5)
            odd.unlink()
            site.until(lambda: not steps(), "back at the top")
        assert "standing on a lower step" in site.log()

        odd.write_text(json.dumps({"solver": "slow"}))
        site.until(lambda: "loop step failed step=late" in site.log(), "a decision that is late is told")
        site.stays_met(5)
        odd.unlink()
        site.until(lambda: not site.state()["ladder"], "all is well again")
        assert site.limit_w() == LIMIT_W
        assert site.load.lost() == {}


def test_an_event_is_met_without_any_solver(tmp_path: Path) -> None:
    with site_in_event(tmp_path, oddly=True) as site:
        site.vtn("withdraw", site.event)
        site.until(lambda: site.limit_w() is None, "no event")
        (tmp_path / "odd.json").write_text(json.dumps({"solver": "fault"}))
        site.begin_event()
        site.stays_met(5)
        assert site.load.lost() == {}
