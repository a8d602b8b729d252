"""The link to the VTN is cut in every way while an event is in force: real processes, an emulated grid."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fakes.grid_links import DEFAULT_LIMIT_W, LIMIT_W, site_in_event

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(300)]


def test_an_event_goes_on_while_its_vtn_hangs_fails_or_refuses(tmp_path: Path) -> None:
    with site_in_event(tmp_path) as site:

        def is_lost() -> bool:
            return bool(site.source()["is_lost"])

        site.vtn.signal(signal.SIGSTOP)
        site.until(is_lost, "a VTN that hangs is lost")
        assert site.limit_w() == LIMIT_W
        site.vtn.signal(signal.SIGCONT)
        site.until(lambda: not is_lost(), "it is heard again")

        site.vtn("fail", "/", 500)
        site.until(is_lost, "a VTN that fails is lost")
        assert site.metric("wattroute_controller_grid_source_lost") == 1
        site.vtn("mend")
        site.until(lambda: not is_lost(), "it is heard again")

        site.vtn("revoke", "ven-1")
        site.until(is_lost, "a VTN that refuses the client is lost")
        assert "no token for ven-1: status 401" in site.log()
        site.stays_met(5)
        assert site.limit_w() == LIMIT_W
        (tmp_path / "secret").write_text("another secret\n")
        site.until(lambda: not is_lost(), "a secret that was replaced is followed")
        assert site.limit_w() == LIMIT_W
        assert site.load.lost() == {}


def test_a_vtn_that_comes_back_empty_ends_nothing_and_a_deletion_counts_once_it_is_heard(tmp_path: Path) -> None:
    with site_in_event(tmp_path) as site:
        site.vtn("fail", "/", 503)
        site.until(lambda: bool(site.source()["is_lost"]), "the VTN is lost")
        site.vtn("withdraw", site.event)
        site.stays_met(3)
        assert site.limit_w() == LIMIT_W, "deleted where nobody could hear of it"
        site.vtn("mend")
        site.until(lambda: site.limit_w() is None, "the deletion is heard of")
        site.begin_event()

        site.vtn.kill()
        site.vtn.start()
        site.until(lambda: "does not know programme" in site.log(), "a VTN without memory is told")
        site.stays_met(5)
        assert site.limit_w() == LIMIT_W, "nobody has cancelled the event"
        assert site.load.lost() == {}


def test_a_lost_vtn_without_known_events_means_the_default_limit(tmp_path: Path) -> None:
    with site_in_event(tmp_path) as site:
        site.vtn("withdraw", site.event)
        site.until(lambda: site.limit_w() is None, "no event")
        site.vtn.kill()
        site.until(lambda: site.limit_w() == DEFAULT_LIMIT_W, "the default limit of a lost VTN")
        site.until(lambda: site.is_met(DEFAULT_LIMIT_W), "power within the default limit")
        assert site.metric("wattroute_controller_grid_default_limit") == 1
        site.vtn.start()
        site.vtn("add_program")
        site.until(lambda: site.limit_w() is None, "the first sign of life ends the default limit")
        assert site.load.lost() == {}
