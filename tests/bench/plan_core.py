"""Solves an instance of the planning problem's core, as `plan_instances.py` makes them, with the project's optimiser.

    python tests/bench/plan_core.py INSTANCE.json --out PLAN.json --seconds S

The plan is judged by `plan_instances.py judge`. What is told on standard output, one JSON object: `cost_usd` and
`bound_usd` of the core problem, and the times in seconds: `state_s` to state the problem in cvxpy, paid once for a
shape, and `solve_s` of each search with the problem stated.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from controller.model.plan import Horizon, Plan
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ClassData, PoolData, ProblemData, SiteData
from controller.optimizer.outcome import rates_of
from controller.optimizer.solving import SolverOptions
from router.contract import ClassId, PoolId

SERVE_USD_PER_TOKEN = 1e-3
"""Price of a token that is not served: about a hundred times what its energy can cost."""


def problem_of(core: dict[str, Any]) -> ProblemData:
    """The core problem as one of the project's: a class for each model's request class, a pool for each site's."""
    sites, pools = len(core["site_gpus"]), len(core["pool_model"])
    models, classes = len(core["demand"]), len(core["demand"][0])
    pairs = [(m, r) for m in range(models) for r in range(classes)]
    members = [(c, k) for c in range(sites) for k in range(pools)]
    return ProblemData(
        horizon=Horizon(0.0, core["dt_h"] * 3600.0, len(core["price"][0])),
        sites=tuple(_site(core, c) for c in range(sites)),
        pools=tuple(_pool(core, c, k) for c, k in members),
        classes=tuple(
            ClassData(
                class_id=ClassId(f"model{m}-class{r}"),
                demand_tokens_per_s=tuple(core["demand"][m][r]),
                quality_budget_frac=(core["loss_budget"][r],) * len(core["price"][0]),
                quality_usd_per_mtoken=0.0,
                serve_usd_per_token=SERVE_USD_PER_TOKEN,
            )
            for m, r in pairs
        ),
        allowed=tuple(tuple(core["pool_model"][k] == m for _, k in members) for m, _ in pairs),
        busy_s_per_token=tuple(tuple(1.0 / core["max_tok_s"][k] for _, k in members) for _ in pairs),
        j_per_token=tuple(tuple(core["e_j"][k] for _, k in members) for _ in pairs),
        utilisation_frac=1.0,
        carbon_usd_per_kg=0.0,
        limit_usd_per_j=1e-3,
        quality_usd_per_token=SERVE_USD_PER_TOKEN / max(1e-9, max(core["loss"])) / 10.0,
        peak_frac=1.0,
        from_scratch=True,
        moves_anywhen=True,
    )


def _most(core: dict[str, Any], c: int, k: int) -> int:
    return int(core["site_gpus"][c] // core["gpus"][k])


def _site(core: dict[str, Any], c: int) -> SiteData:
    # GPUs of no instance draw idle power: those of instances that are off are counted with the instances.
    counted = sum(_most(core, c, k) * core["gpus"][k] for k in range(len(core["gpus"])))
    steps = len(core["price"][c])
    return SiteData(
        site_id=f"site{c}",
        gpus=core["site_gpus"][c],
        pue=core["pue"][c],
        spare_w=core["idle_w"] * (core["site_gpus"][c] - counted),
        aux_w=0.0,
        bias_w=0.0,
        limit_w=tuple(core["limit_w"][c]),
        price_usd_per_mwh=tuple(core["price"][c]),
        carbon_kg_per_mwh=(0.0,) * steps,
    )


def _pool(core: dict[str, Any], c: int, k: int) -> PoolData:
    steps = len(core["price"][c])
    return PoolData(
        pool_id=PoolId(f"site{c}-pool{k}"),
        instances=_most(core, c, k),
        on_now=0,
        sleeping_now=0,
        min_on=0,
        max_on=_most(core, c, k),
        locked=(0,) * steps,
        late=(0.0,) * steps,
        gpus_per_instance=core["gpus"][k],
        p0_w=core["p0_w"][k],
        sleeping_w=core["idle_w"] * core["gpus"][k],
        off_w=core["idle_w"] * core["gpus"][k],
        quality_loss_frac=core["loss"][k],
        wake_s=0.0,
        start_s=0.0,
        start_usd=core["start_usd"][k],
        min_up_steps=1,
        site=c,
        stop_usd=0.0,
        may_sleep=False,
    )


def plan_of(core: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The plan as the judge reads it: `on` [c][k][t], `y` [c][r][k][t]."""
    sites, pools = len(core["site_gpus"]), len(core["pool_model"])
    models, classes = len(core["demand"]), len(core["demand"][0])
    steps = plan.horizon.steps
    on = np.array([pool.on for pool in plan.pools]).reshape(sites, pools, steps)
    rates = np.array(rates_of(plan)).reshape(models, classes, sites, pools, steps)
    return {"on": on.tolist(), "y": rates.sum(axis=0).transpose(1, 0, 2, 3).tolist()}


def main() -> None:
    """Solve one instance, several times if asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instance", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--gap", type=float, default=1e-4, help="share of the energy bill at which the search ends")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    core = json.loads(options.instance.read_text("utf-8"))
    data = problem_of(core)
    planner = CvxpyPlanner(time.perf_counter, SolverOptions(gap_frac=options.gap, threads=options.threads))
    began_s = time.perf_counter()
    planner.state(data)
    told: dict[str, Any] = {"instance": core["name"], "seed": core["seed"], "state_s": time.perf_counter() - began_s}
    plans = [planner.plan(data, time_limit_s=options.seconds) for _ in range(options.repeat)]
    plan = plans[-1]
    gap = math.nan if plan.gap_frac is None else plan.gap_frac
    told |= {
        "cost_usd": plan.cost_usd,
        "bound_usd": plan.cost_usd * (1 - gap),
        "solve_s": [each.solve_s for each in plans],
        "slack": [f"{slack.promise} {slack.subject}: {slack.amount:g} {slack.unit}" for slack in plan.slack],
    }
    options.out.write_text(json.dumps(plan_of(core, plan)), "utf-8")
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
