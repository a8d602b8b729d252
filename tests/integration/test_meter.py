"""The meter store in the real controller, on emulated GPUs: measured, imported, frozen, killed, exported."""

import contextlib
import csv
import datetime
import io
import json
import subprocess
import sys
import time

import pytest

from controller.model.call import call_key
from controller.store.baselines import MeterBaselines
from controller.store.ledger import Ledger
from controller.store.meter import MeterStore
from tests.fakes.system import ROOT, System, post, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(150)]
DAYS = 50


def with_programme(document):
    rule = {"method": "10_of_10", "adjust_frac": 0.2}
    document["programmes"] = {"operator": {"settlement_interval_s": 60, "baseline": rule}}


def meter(system: System, *words: str) -> str:
    command = [
        sys.executable,
        "-m",
        "controller.cli",
        "meter",
        *words,
        "--config",
        str(system.folder / "wattroute.yaml"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60).stdout


def seconds(system: System, from_s: float) -> list[dict[str, str]]:
    start = datetime.datetime.fromtimestamp(int(from_s), datetime.UTC)
    end = datetime.datetime.fromtimestamp(int(time.time()) + 1, datetime.UTC)
    shown = [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (start, end)]
    text = meter(system, "export", "--from", shown[0], "--until", shown[1], "--step", "1s")
    return list(csv.DictReader(io.StringIO(text)))


def measured(rows: list[dict[str, str]]) -> int:
    return sum(row["flag"] != "gap" for row in rows)


def test_what_is_measured_survives_a_kill_and_a_baseline_stays_as_it_was_frozen(tmp_path):
    began_s = time.time()
    with running(tmp_path, "emulate", "controller", change=with_programme) as system:
        system.until(lambda: measured(seconds(system, began_s)) >= 4, "four seconds are measured")
        hour_s = began_s - began_s % 3600.0
        rows = [f"{hour_s - 3600.0 * n:.0f}" for n in range(1, 24 * DAYS)]
        history = tmp_path / "history.csv"
        stamps = [f"{datetime.datetime.fromtimestamp(float(at), datetime.UTC).isoformat()},7" for at in rows]
        history.write_text("\n".join(["time,value", *stamps]) + "\n")
        assert "min written" in meter(system, "import", str(history), "--unit", "kW")

        status, body = post(f"{system.api}/v1/events", {"event_id": "a", "limit_w": 4000, "duration_s": 600})
        assert status == 201, body
        folder = tmp_path / system.document["controller"]["data_dir"]
        key = call_key(json.loads(body).get("source", "operator"), "a")
        with contextlib.closing(MeterStore(folder / "meter.sqlite")) as store:
            baselines = MeterBaselines(store)
            system.until(lambda: baselines.frozen(key) is not None, "the baseline is frozen")
            frozen = baselines.frozen(key)
            system.until(lambda: store.event_spans() != (), "the time of the event is marked")
        assert frozen.method.value == "10_of_10"
        # Ten days at 7 kW; the adjustment may take it down or up by a fifth, or has nothing to go by.
        assert 5600.0 <= frozen.mean_w <= 8400.0

        system.kill("controller")
        killed_s = time.time()
        before = measured(seconds(system, began_s))
        assert measured(seconds(system, killed_s - 15.0)) > 0  # what was measured shortly before is there
        system.start("controller")
        system.until(lambda: measured(seconds(system, killed_s)) >= 2, "it goes on measuring")
        rows = seconds(system, began_s)
        assert measured(rows) > before
        assert {row["quality"] for row in rows if row["flag"] != "gap"} == {"emulated"}
        with contextlib.closing(MeterStore(folder / "meter.sqlite")) as store:
            assert MeterBaselines(store).frozen(key) == frozen
        assert system.stop("controller") == 0
    ledger = Ledger(folder / "ledger.sqlite")
    try:
        told = [record.payload for record in ledger.records("baseline")]
    finally:
        ledger.close()
    assert {record["call"] for record in told} == {key}
    assert all(record["baseline_w"] == pytest.approx(frozen.mean_w) for record in told)
