"""The result of a demo run whose figures can be worked out by hand."""

from __future__ import annotations

from typing import Any

from controller.demo.compare import Comparison
from controller.demo.event import Limit
from controller.demo.load import Account
from controller.demo.meter import Meter, Reading, Record
from controller.demo.summary import Asked, Result
from controller.model.grid import GridEvent
from controller.simulation.latency import Latencies
from controller.simulation.replay import Outcome
from controller.simulation.scenario import Run
from router.contract import PoolId

START_S = 1000.0
EVENT = GridEvent("demo", 8_000.0, START_S + 40, START_S + 80, START_S + 30, ramp_s=10.0)


def power_at(second: int, *, late: bool = False) -> float:
    """10 kW, falling to 7.5 kW within five seconds of the event, one interval above the limit if `late`."""
    if 45 <= second < 80:
        return 9_000.0 if late and 55 <= second < 60 else 7_500.0
    return 10_000.0


def record(seconds: int = 100, *, late: bool = False) -> Record:
    kept = Record(Meter("", "", 1.0, 0.0))
    energy_j = 0.0
    for second in range(seconds + 1):
        tokens = {"bf16": 100 * min(second, 45), "fp8": 100 * max(0, second - 45)}
        state = {
            "power": {"limit_w": None},
            "price_usd_per_mwh": 360.0,
            "carbon_kg_per_mwh": 400.0,
            "solver": {"slow_ms": 30.0 + second // 20, "fast_ms": 2.0, "fallbacks": 0},
        }
        kept.add(Reading(START_S + second, energy_j, tokens, state))
        energy_j += power_at(second, late=late)
    return kept


def outcome(energy_j: float) -> Outcome:
    return Outcome(energy_j, (energy_j,), 1.0, 10, 10, 10_000, 0, {PoolId("bf16"): 10_000.0}, Latencies(), Latencies())


def finished(**more: Any) -> Result:
    account = Account(sent=10, ok=10, tokens_served=10_000)
    account.tokens_by_precision.update({"bf16": 4500, "fp8": 5500})
    account.ttft.add(0.2, 10)
    itl = Latencies()
    itl.add(0.04, 100)
    given: dict[str, Any] = {
        "asked": Asked(90.0, 5.0, 0, "trace.csv", 120.0, "0.1.0"),
        "start_s": START_S,
        "interrupted": False,
        "account": account,
        "itl": itl,
        "record": record(),
        "event": EVENT,
        "limit": Limit(8_000.0, 10_000.0, 7_000.0),
        "evidence": {"pool_bf16": "measured"},
        "comparison": Comparison(Run(outcome(900_000.0), 50, 0), Run(outcome(1_200_000.0), 50, 0)),
    }
    return Result(**{**given, **more})
