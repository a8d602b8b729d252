from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from controller.demo import summary, view
from controller.demo.load import Account
from controller.demo.meter import Meter, Reading, Record
from controller.demo.view import Frame
from controller.simulation.latency import Latencies
from tests.fakes.demo_result import finished

NOW_S = 1_700_000_000.0


def state(**more: Any) -> dict[str, Any]:
    return {
        "now_s": NOW_S,
        "power": {"limit_w": 8_000.0},
        "price_usd_per_mwh": 488.06,
        "carbon_kg_per_mwh": 378.2,
        "j_per_output_token": 3.31,
        "event": None,
        "pools": [
            {
                "pool_id": "bf16", "precision": "bf16", "share_frac": 0.75, "on": 3, "draining": 1, "sleeping": 0,
                "power_w": 9_500.0, "evidence": "measured",
            },
            {
                "pool_id": "int4", "precision": "int4", "share_frac": None, "on": 0, "draining": 0, "sleeping": 2,
                "power_w": None, "evidence": "estimated",
            },
        ],
        "solver": {"slow_ms": 51.7, "fast_ms": 2.3, "origin": "milp", "fallbacks": 0},
        **more,
    }  # fmt: skip


def frame(readings: int = 100, **more: Any) -> Frame:
    record = Record(Meter("", "", 1.0, 0.0))
    for second in range(readings):
        record.add(Reading(NOW_S + second, second * 9_000.0, {}, state(**more)))
    account = Account(sent=1200, ok=1100, tokens_served=250_000, in_flight=100)
    account.ttft.add(0.13)
    page, router = "http://127.0.0.1:8090/", "http://127.0.0.1:8080"
    return Frame("replay", 63.0, 150.0, 5.0, page, router, account, Latencies(), record)


def drawn(shown: Frame, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, record=True, file=io.StringIO(), force_terminal=True)
    console.print(view.draw(shown))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_everything_fits_and_is_there(width: int) -> None:
    lines = drawn(frame(), width)
    assert len(lines) <= 24
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for part in (
        "EMULATED GPUs", "9.00 kW of 8.00 kW allowed", "bf16", "75%", "int4 (est.)", "served 250,000 tokens",
        "lost 0", "TTFT p50 1", "3.31 J/token", "price 488 USD/MWh", "carbon 378 kg/MWh", "MILP 52 ms",
        "http://127.0.0.1:8090/", "63 of 150 s",
    ):  # fmt: skip
        assert part in text, part


def test_the_plot_shows_power_and_limit() -> None:
    text = "\n".join(drawn(frame()))
    assert "█" in text
    assert "kW" in text


def test_before_the_first_reading_it_says_so() -> None:
    assert "waiting for the first power reading" in "\n".join(drawn(frame(readings=0)))


EVENT = {"state": "pending", "limit_w": 8_000.0, "start_s": NOW_S + 12, "end_s": NOW_S + 60, "ramp_s": 30.0}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (EVENT, "event in 12 s: limit 8.0 kW"),
        ({**EVENT, "state": "active", "start_s": NOW_S - 10}, "EVENT: limit 8.0 kW, 60 s left, ramp 20 s more"),
        ({**EVENT, "state": "active", "start_s": NOW_S - 40}, "EVENT: limit 8.0 kW, 60 s left"),
    ],
)
def test_the_event_counts_down(event: dict[str, Any], told: str) -> None:
    assert told in "\n".join(drawn(frame(event=event), width=120))
    assert told in view.line(frame(event=event))


def test_one_line_for_the_log() -> None:
    told = view.line(frame())
    assert "\n" not in told
    for part in ("63 of 150 s", "emulated GPUs", "power 9.00 kW", "no event", "bf16 75%", "lost 0"):
        assert part in told


def test_the_log_line_needs_no_reading() -> None:
    assert "power -" in view.line(frame(readings=0))


def test_the_closing_table_tells_the_figures() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(view.summary_table(summary.build(finished())))
    text = console.export_text()
    for part in ("10 whole of 10 sent", "0 lost", "during the event", "limit 8.0 kW", "saving against BF16 alone"):
        assert part in text, part
