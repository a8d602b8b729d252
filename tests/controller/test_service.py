"""The controller's and the emulator's processes, started from a configuration file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.system import get, post, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(180)]


def test_the_emulator_serves_the_configured_instances_and_says_that_it_emulates(tmp_path: Path) -> None:
    with running(tmp_path, "emulate") as system:
        listed = json.loads(get(f"{system.emulator}/instances")[1])
        assert {item["instance_id"]: item["state"] for item in listed} == {
            "bf16-0": "serving",
            "bf16-1": "serving",
            "fp8-0": "serving",
            "fp8-1": "sleeping",
            "int4-0": "sleeping",
        }
        assert b"emulated" in get(f"{system.emulator}/metrics")[1]


def test_the_controller_reports_what_it_measures_and_keeps_its_records(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", "router", "controller") as system:

        def measured() -> dict[str, Any]:
            return json.loads(get(f"{system.api}/api/state")[1])

        system.until(lambda: measured()["power"]["measured_w"] > 1_000, "the site's power is measured")
        state = measured()
        assert state["emulated"] is True
        assert state["price_usd_per_mwh"] == pytest.approx(488.06)
        assert state["carbon_kg_per_mwh"] == pytest.approx(319.852)
        system.until(lambda: get(f"{system.api}/readyz")[0] == 200, "the first decision is made")
        assert system.stop("controller") == 0
        assert (tmp_path / "ledger.sqlite").stat().st_size > 0


def test_operators_requests_need_the_token_where_one_is_configured(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-that-is-long-enough\n")

    def guarded(document: dict[str, Any]) -> None:
        document["controller"]["token_file"] = str(token)

    with running(tmp_path, "emulate", "controller", change=guarded) as system:
        event = {"limit_w": 20_000, "duration_s": 60}
        assert post(f"{system.api}/v1/events", event)[0] == 401
        assert b"a-token" not in (tmp_path / "controller.log").read_bytes()


def test_a_token_file_that_is_absent_is_named(tmp_path: Path) -> None:
    def guarded(document: dict[str, Any]) -> None:
        document["controller"]["token_file"] = str(tmp_path / "no-token")

    with pytest.raises(AssertionError, match="no-token"), running(tmp_path, "controller", change=guarded) as system:
        pytest.fail(f"started all the same: {system.api}")
