"""Real router, controller and emulator processes: a pool that begins to answer nonsense gets no traffic any more."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.system import System, get, post, running

pytestmark = pytest.mark.timeout(180)
WITHIN = 60
"""Canaries: a minute at one a second."""


def _change(document: dict[str, Any]) -> None:
    # Ten a second instead of one, so that the test counts canaries rather than wait for them.
    document["quality"] = {"canary": {"per_s": 10, "max_in_flight": 4, "energy_j_per_h": 1e9, "sample_s": 1}}
    document["router"]["canary_samples"] = {"keep": 8}
    document["controller"]["tick_s"] = 1
    document["emulator"]["initially_on"] = {"bf16": 2, "fp8": 2, "int4": 0}
    document["plan"]["pools"]["fp8"] |= {"min_on": 2, "min_up_s": 3600}
    document["plan"]["pools"]["bf16"] |= {"min_on": 2, "min_up_s": 3600}


def _told(system: System) -> dict[str, Any]:
    return dict(json.loads(get(f"{system.api}/v1/quality")[1]))


def _sent(system: System) -> int:
    counts = _told(system)["counts"]
    return int(counts["agreed"] + counts["differed"] + counts["kept"] + counts["failed"])


def _ask(system: System, precision: str | None = None) -> tuple[int, str | None]:
    """Status and pool of a request of the class `standard`, pinned or not."""
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "temperature": 0}
    headers = {"content-type": "application/json"} | ({"x-wattroute-precision": precision} if precision else {})
    request = urllib.request.Request(f"{system.public}/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers["x-wattroute-pool"]
    except urllib.error.HTTPError as error:
        return error.code, None


def _is_out(system: System) -> bool:
    """Whether the router's table and state give the FP8 pool nothing new."""
    instances = json.loads(get(f"{system.admin}/state")[1])["instances"]
    return all(item["draining"] for item in instances if item["pool_id"] == "fp8")


def test_a_pool_that_turns_to_nonsense_is_out_within_sixty_canaries_and_comes_back(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", "router", "controller", change=_change) as system:
        system.until(lambda: _sent(system) >= 100, "canaries agree")
        assert _told(system)["barred"] == []
        assert _ask(system, "fp8") == (200, "fp8")
        before = _sent(system)
        for n in range(2):
            assert post(f"{system.emulator}/instances/fp8-{n}/break", {})[0] == 200
        system.until(lambda: bool(_told(system)["barred"]), "it is barred")
        needed = _sent(system) - before
        assert needed <= WITHIN, f"{needed} canaries"
        assert [bar["name"] for bar in _told(system)["barred"]] == ["fp8"]
        system.until(lambda: _is_out(system), "the router obeys")
        answers = [_ask(system) for _ in range(40)]
        assert {pool for _, pool in answers} == {"bf16"}
        assert {status for status, _ in answers} == {200}
        assert _ask(system, "fp8")[0] in (429, 503)  # not even what is pinned to it
        page = get(f"{system.api}/metrics")[1].decode()
        assert 'wattroute_controller_barred{subject="fp8"} 1.0' in page
        assert 'wattroute_controller_fallbacks_total{ladder="quality",step="barred"}' in page
        assert "pool or instance barred" in (tmp_path / "controller.log").read_text()
        for n in range(2):
            assert post(f"{system.emulator}/instances/fp8-{n}/mend", {})[0] == 200
        system.until(lambda: not _told(system)["barred"], "it comes back by itself")
        system.until(lambda: _ask(system, "fp8") == (200, "fp8"), "it serves again")


def test_a_bar_outlives_a_restart_until_an_operator_lifts_it(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", "router", "controller", change=_change) as system:
        assert post(f"{system.api}/v1/quality/barred/fp8", {"reason": "new weights"})[0] == 201
        system.until(lambda: _is_out(system), "the router obeys")
        system.stop("controller")
        system.start("controller")
        assert [bar["reason"] for bar in _told(system)["barred"]] == ["new weights"]
        system.until(lambda: _is_out(system), "the router obeys again")
        request = urllib.request.Request(f"{system.api}/v1/quality/barred/fp8", method="DELETE")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        system.until(lambda: not _is_out(system), "it serves again")
