"""The demo's fleet: pools, classes, prices and clock of the grid, as one configuration file. All its numbers are here.

Quality losses follow published evaluations of FP8 and INT4 weights (arXiv 2411.02355). The prices set on quality decide
who moves when: at 0.49 to 0.65 USD/kWh a million tokens cost 0.06 to 0.08 USD less at FP8 than at BF16. `standard` sets
0.09 USD on the loss and so stays at BF16 until a limit binds; `flex` sets 0.006 USD and does not.

There are as many FP8 and INT4 instances as an event needs, and no more: GPUs that sleep still draw power.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from controller.demo.addresses import HOST, Addresses
from controller.simulation.trace import Slice, Trace
from router.contract import ClassId, Precision

MODEL = "Qwen/Qwen3-235B-A22B-Instruct-2507"
PRICE_DAY = datetime.fromisoformat("2022-07-13T00:00:00+00:00")
"""ERCOT LZ_NORTH on a day of record demand: 488 USD/MWh at 18:00 UTC, 645 at 19:00."""
CARBON_DAY = datetime.fromisoformat("2020-08-14T00:00:00+00:00")
"""CAISO (PG&E) on the day of the first rolling outages."""
TICK_S = 2.0
MEAN_OUTPUT_TOKENS = 211.0
MEAN_INPUT_TOKENS = 1155.0
"""Means over the bundled trace."""


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool of the demo."""

    precision: Precision
    instances: int
    initially_on: int
    gpus_per_instance: int
    curves: str
    quality_loss_frac: float
    static_weight: float
    min_on: int = 0


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """One class of the demo.

    Attributes:
        share: of the requests.
    """

    name: str
    share: float
    precisions: tuple[Precision, ...]
    service_tiers: tuple[str, ...]
    quality_budget_frac: float
    quality_usd_per_mtoken: float
    itl_slo_s: float


POOLS = (
    PoolSpec(Precision.BF16, 4, 3, 8, "qwen3-235b-a22b/bf16/8xh100", 0.0, 2.0, min_on=1),
    PoolSpec(Precision.FP8, 3, 1, 4, "qwen3-235b-a22b/fp8/4xh100", 0.006, 1.0),
    PoolSpec(Precision.INT4, 2, 0, 2, "qwen3-235b-a22b/int4/2xh100", 0.02, 0.5),
)
CLASSES = (
    ClassSpec("standard", 0.55, (Precision.BF16, Precision.FP8), (), 0.006, 15.0, 0.06),
    ClassSpec("premium", 0.15, (Precision.BF16,), ("priority",), 0.0, 100.0, 0.06),
    ClassSpec("flex", 0.30, (), ("flex",), 0.02, 1.0, 0.08),
)
SHARES = {ClassId(spec.name): spec.share for spec in CLASSES}
ENGINES = sum(spec.instances for spec in POOLS)
_HEADING = """\
# Written by `wattroute demo`: three pools of EMULATED engines behind one router, and their controller.
# It may be used again: wattroute demo --config THIS_FILE
"""


def grid_time(day: datetime, trace: Trace, start_s: float) -> datetime:
    """Time of the grid's data that the start of the replay falls on: the trace's clock time, on another day."""
    clock = trace.clock_start + timedelta(seconds=start_s)
    return day + timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)


def write(path: Path, addresses: Addresses, trace: Trace, part: Slice, seed: int) -> None:
    """Write the configuration file; its records go to the same folder."""
    document = {
        **_data_plane(addresses),
        **_plan(),
        "signals": _signals(addresses, trace, part),
        "controller": {
            "mode": "act",
            "port": addresses.controller,
            "tick_s": TICK_S,
            "table_ttl_s": 30.0,
            "data_dir": str(path.parent),
            "supervisor_url": f"http://{HOST}:{addresses.emulator_control}",
        },
        "emulator": {
            "control_port": addresses.emulator_control,
            "seed": seed,
            "initially_on": {spec.precision.value: spec.initially_on for spec in POOLS},
        },
    }
    path.write_text(_HEADING + yaml.safe_dump(document, sort_keys=False, width=120), encoding="utf-8")


def _data_plane(addresses: Addresses) -> dict[str, Any]:
    ports = iter(addresses.engines)
    return {
        "model": MODEL,
        "pools": [
            {
                "name": spec.precision.value,
                "precision": spec.precision.value,
                "instances": [f"http://{HOST}:{next(ports)}" for _ in range(spec.instances)],
                "static_weight": spec.static_weight,
            }
            for spec in POOLS
        ],
        "classes": [
            {
                "name": spec.name,
                "precisions": [precision.value for precision in spec.precisions],
                "service_tiers": [*spec.service_tiers],
                "expected_output_tokens": MEAN_OUTPUT_TOKENS,
            }
            for spec in CLASSES
        ],
        "default_class": CLASSES[0].name,
        "router": {
            "host": HOST,
            "port": addresses.router,
            "admin_port": addresses.router_admin,
            "timeouts": {"drain_s": 5.0},
        },
        "table": {"url": f"http://{HOST}:{addresses.controller}/v1/allocation", "poll_interval_s": 0.5},
    }


def _plan() -> dict[str, Any]:
    return {
        "site": {"name": "demo", "pue": 1.2},
        "plan": {
            "step_s": 60.0,
            "steps": 8,
            "slow_interval_s": 20.0,
            "baseline_window_s": 30.0,
            "pools": {
                spec.precision.value: {
                    "gpu": "H100",
                    "gpus_per_instance": spec.gpus_per_instance,
                    "curves": spec.curves,
                    "quality_loss_frac": spec.quality_loss_frac,
                    "min_on": spec.min_on,
                    "min_up_s": 30.0,
                    "lower_after_s": 60.0,
                    "start_usd": 0.002 * spec.gpus_per_instance,
                }
                for spec in POOLS
            },
            "classes": {
                spec.name: {
                    "quality_budget_frac": spec.quality_budget_frac,
                    "quality_usd_per_mtoken": spec.quality_usd_per_mtoken,
                    "itl_slo_s": spec.itl_slo_s,
                    "expected_input_tokens": MEAN_INPUT_TOKENS,
                }
                for spec in CLASSES
            },
        },
    }


def _signals(addresses: Addresses, trace: Trace, part: Slice) -> dict[str, Any]:
    return {
        "dcgm_urls": [f"http://{HOST}:{addresses.emulator_control}/metrics"],
        "router_urls": [f"http://{HOST}:{addresses.router_admin}"],
        "price_usd_per_mwh": {
            "kind": "csv",
            "path": "ercot_dam_lz_usd_per_mwh.csv",
            "time_column": "hour_start_utc",
            "value_column": "LZ_NORTH",
            "data_start": grid_time(PRICE_DAY, trace, part.start_s),
            "speed": part.speed,
        },
        "carbon_kg_per_mwh": {
            "kind": "csv",
            "path": "caiso_moer_pge_2020-08.csv",
            "time_column": "time_utc",
            "value_column": "moer_kg_per_kwh",
            "scale": 1000.0,
            "data_start": grid_time(CARBON_DAY, trace, part.start_s),
            "speed": part.speed,
        },
    }
