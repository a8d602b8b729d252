"""The core planning problem as it is written down, given to HiGHS as it is: the peer of the project's optimiser."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Plain:
    """What HiGHS found.

    Attributes:
        relaxed_usd: of the relaxation, the bound that costs are compared with.
        cost_usd: of the best plan, None where there was none in time.
        bound_usd: proven when time was up.
    """

    relaxed_usd: float
    cost_usd: float | None
    bound_usd: float
    seconds: float


class Rows:
    """Rows of a sparse matrix, added one after the other."""

    def __init__(self) -> None:
        self._row: list[np.ndarray] = []
        self._column: list[np.ndarray] = []
        self._value: list[np.ndarray] = []
        self.lower: list[float] = []
        self.upper: list[float] = []

    def add(self, columns: Any, values: Any, lower: float, upper: float) -> None:
        columns = np.asarray(columns).ravel()
        self._row.append(np.full(len(columns), len(self.lower)))
        self._column.append(columns)
        self._value.append(np.broadcast_to(np.asarray(values, dtype=float), columns.shape))
        self.lower.append(lower)
        self.upper.append(upper)

    def matrix(self, columns: int) -> sparse.csr_array:
        entries = np.concatenate(self._value), (np.concatenate(self._row), np.concatenate(self._column))
        return sparse.csr_array(entries, shape=(len(self.lower), columns))


def solve(core: dict[str, Any], *, seconds: float, threads: int) -> Plain:
    """Solve an instance of `plan_instances.py` for so long."""
    model, whole, constant = _model(core)
    relaxed, _, _ = _run(model, None, seconds=600.0, threads=threads)
    began_s = time.perf_counter()
    cost, bound, found = _run(model, whole, seconds=seconds, threads=threads)
    took_s = time.perf_counter() - began_s
    return Plain(relaxed + constant, cost + constant if found else None, bound + constant, took_s)


def _run(
    model: highspy.HighsLp, whole: np.ndarray | None, *, seconds: float, threads: int
) -> tuple[float, float, bool]:
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    model.integrality_ = [] if whole is None else [kinds[int(is_whole)] for is_whole in whole]
    highs = highspy.Highs()
    for name, value in {"output_flag": False, "threads": threads, "time_limit": seconds, "mip_rel_gap": 0.0}.items():
        highs.setOptionValue(name, value)
    highs.passModel(model)
    highs.run()
    info = highs.getInfo()
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    return info.objective_function_value, info.mip_dual_bound, found


def _model(core: dict[str, Any]) -> tuple[highspy.HighsLp, np.ndarray, float]:
    demand, price = np.array(core["demand"]), np.array(core["price"])
    models, classes, steps = demand.shape
    gpus, cap, loss = (np.array(core[name], dtype=float) for name in ("gpus", "max_tok_s", "loss"))
    site_gpus, of_model = np.array(core["site_gpus"], dtype=float), np.array(core["pool_model"])
    sites, pools = len(site_gpus), len(of_model)
    on = np.arange(sites * pools * steps).reshape(sites, pools, steps)
    starts = on.size + np.arange(sites * pools * steps).reshape(sites, pools, steps)
    tokens = 2 * on.size + np.arange(sites * classes * pools * steps).reshape(sites, classes, pools, steps)
    columns = 2 * on.size + tokens.size
    usd_per_w = price * np.array(core["pue"])[:, None] / 1e6 * core["dt_h"]
    cost = np.zeros(columns)
    cost[on] = usd_per_w[:, None, :] * (np.array(core["p0_w"]) - core["idle_w"] * gpus)[None, :, None]
    cost[starts] = np.array(core["start_usd"])[None, :, None]
    cost[tokens] = usd_per_w[:, None, None, :] * np.array(core["e_j"])[None, None, :, None]
    rows = Rows()
    for t in range(steps):
        for m in range(models):
            members = np.flatnonzero(of_model == m)
            for r, budget in enumerate(core["loss_budget"]):
                cell = tokens[:, r, members, t]
                rows.add(cell, 1.0, demand[m, r, t], demand[m, r, t])
                rows.add(cell, np.tile(loss[members], sites), -np.inf, budget * demand[m, r, t])
        for c in range(sites):
            rows.add(on[c, :, t], gpus, -np.inf, site_gpus[c])
            for k in range(pools):
                rows.add([*tokens[c, :, k, t], on[c, k, t]], [*np.ones(classes), -cap[k]], -np.inf, 0.0)
                if t > 0:
                    rows.add([on[c, k, t], on[c, k, t - 1], starts[c, k, t]], [1, -1, -1], -np.inf, 0.0)
    if any(limit is not None for row in core["limit_w"] for limit in row):
        raise ValueError("instances with limits are not made by plan_instances.py, and not handled here")
    model = highspy.HighsLp()
    matrix = rows.matrix(columns)
    model.num_col_, model.num_row_ = columns, len(rows.lower)
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, np.zeros(columns), np.full(columns, np.inf)
    model.row_lower_, model.row_upper_ = np.array(rows.lower), np.array(rows.upper)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    whole = np.zeros(columns, dtype=bool)
    whole[on] = True
    return model, whole, float((usd_per_w.sum(axis=1) * site_gpus * core["idle_w"]).sum())
