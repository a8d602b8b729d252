"""The published workload models: ordinary least squares without a fixed part, by statsmodels.

e = α0·τin + α1·τout + α2·τin·τout, and the same for runtime (Wilkins, Keshav and Mortier, HotCarbon 2024). R² of a fit
without a fixed part is about zero, not about the mean. statsmodels is in the extra `study`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from controller.energy.least_squares import Array, Indices, held_out, mape
from controller.energy.workload import Request, published_columns
from controller.errors import ConfigError


@dataclass(frozen=True, slots=True)
class OrdinaryFit:
    """A published model fitted again.

    Attributes:
        values: of τin, τout and τin·τout.
        p_values: of t-tests, in the same order.
        r2, f, f_p_value: about zero, as statsmodels gives them without a fixed part.
        negative: how many of the fitted requests get a figure below zero.
    """

    values: tuple[float, ...]
    p_values: tuple[float, ...]
    r2: float
    f: float
    f_p_value: float
    mape_frac: float
    held_out_mape_frac: float
    negative: int


def fit_ordinary(requests: Sequence[Request], y: Sequence[float]) -> OrdinaryFit:
    """Fit; requests of the same lengths are held out together.

    Raises:
        ConfigError: statsmodels is not installed.
    """
    api = _statsmodels()
    design, target = published_columns(requests), np.array(y)
    result = api.OLS(target, design).fit()

    def predict(inside: Indices, wanted: Indices) -> Array:
        return np.asarray(design[wanted] @ api.OLS(target[inside], design[inside]).fit().params)

    fitted = np.asarray(result.fittedvalues, dtype=np.float64)
    return OrdinaryFit(
        values=tuple(float(value) for value in result.params),
        p_values=tuple(float(value) for value in result.pvalues),
        r2=float(result.rsquared),
        f=float(result.fvalue),
        f_p_value=float(result.f_pvalue),
        mape_frac=mape(target, fitted),
        held_out_mape_frac=mape(target, held_out(list(requests), predict)),
        negative=int(np.sum(fitted < 0)),
    )


def _statsmodels() -> ModuleType:
    try:
        import statsmodels.api
    except ModuleNotFoundError as error:
        raise ConfigError(
            "statsmodels, which fits the published models, is not installed; run: pip install 'wattroute[study]'"
        ) from error
    found: ModuleType = statsmodels.api
    return found
