"""One of two routers dies and comes back while an event is in force; the grid is emulated."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import yaml

from tests.fakes.grid_links import LIMIT_W, GridSite, site_in_event
from tests.fakes.ports import free_ports
from tests.fakes.system import get

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(300)]


def test_a_limit_is_kept_while_one_of_two_routers_dies_and_comes_back(tmp_path: Path) -> None:
    port, admin_port = free_ports(2)

    def two_routers(document: dict) -> None:
        other = {**document, "router": {**document["router"], "port": port, "admin_port": admin_port}}
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / "wattroute.yaml").write_text(yaml.safe_dump(other))
        document["signals"]["router_urls"].append(f"http://127.0.0.1:{admin_port}")

    with site_in_event(tmp_path, two_routers, second_router=tmp_path / "other") as site:
        first, second = site.load.urls
        assert site.other is not None
        site.until(lambda: states(site) == ["fresh", "fresh"], "both routers obey the table")

        site.other.kill("router")
        site.until(lambda: site.load.lost(second) != {}, "the clients of the dead router notice")
        site.stays_met(6)
        answered = site.load.answered(first)
        site.until(lambda: site.load.answered(first) > answered, "the other router answers")
        site.other.start("router")
        site.until(lambda: states(site) == ["fresh", "fresh"], "the router that came back obeys the table")
        answered = site.load.answered(second)
        site.until(lambda: site.load.answered(second) > answered, "and answers")

        site.other.processes["router"].send_signal(signal.SIGSTOP)
        site.stays_met(8)
        site.other.processes["router"].send_signal(signal.SIGCONT)
        site.until(lambda: states(site) == ["fresh", "fresh"], "the router that stood still goes on")
        site.stays_met(3)
        assert site.limit_w() == LIMIT_W
        assert site.load.lost(first) == {}, "the other router lost nothing"


def states(site: GridSite) -> list[str]:
    assert site.other is not None
    addresses = (site.system.admin, site.other.admin)
    return [str(json.loads(get(f"{address}/state")[1])["table"]["state"]) for address in addresses]
