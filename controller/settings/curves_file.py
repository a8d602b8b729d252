"""The file that a profile writes and a configuration reads: parameters, their covariance, where they come from.

It is YAML, with the parameters of `controller.model.perf.PoolCurves` under their names there.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from pydantic import Field, field_validator, model_validator

from controller.errors import ConfigError
from controller.model.perf import FITTED, CurveUncertainty, Evidence, GroupProvenance, PoolCurves, Provenance
from controller.settings.fields import NotNegative
from controller.settings.plan import CURVES_SUFFIXES, CurveFigures
from router import config_file
from router.errors import SettingsError
from router.settings import Group

MAX_BYTES = 1 << 20
FORM = 1
ROUNDING = 1e-6
"""By how much an eigenvalue of correlations may come out below zero."""
Text = Annotated[str, Field(min_length=1, max_length=400)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class CovarianceSection(Group):
    """Of the fitted parameters, each entry in the product of their units."""

    parameters: tuple[Text, ...]
    matrix: tuple[tuple[Finite, ...], ...]

    @model_validator(mode="after")
    def _is_one(self) -> CovarianceSection:
        if self.parameters != FITTED:
            raise ValueError(f"covariance.parameters must be {', '.join(FITTED)}, in this order")
        CurveUncertainty(self.matrix, 0.0)
        matrix = np.array(self.matrix)
        sd = np.sqrt(np.diag(matrix))
        known = sd > 0
        least = float(
            np.linalg.eigvalsh(matrix[np.ix_(known, known)] / np.outer(sd[known], sd[known])).min(initial=0.0)
        )
        if least < -ROUNDING:
            raise ValueError(
                f"covariance.matrix is none: its correlations contradict each other (least eigenvalue {least:.2g}); it "
                "stays as the profile wrote it"
            )
        return self


class FitSection(Group):
    """How well the parameters describe the cells."""

    power_held_out_mape_frac: Annotated[float, Field(ge=0, le=1)]
    throughput_held_out_mape_frac: Annotated[float, Field(ge=0, le=1)]
    cells: Annotated[int, Field(ge=1)]
    cells_left_out: Annotated[int, Field(ge=0)]
    drift_frac: Finite | None = None
    """Step time of a load measured again at the end over that at the beginning, less one: the instance itself changed,
    as a GPU does that gets hot."""


class GroupSection(Group):
    """Where a group of figures comes from."""

    evidence: Evidence
    source: Text


class ProvenanceSection(Group):
    """What was measured, with what, when."""

    date: date
    emulated: bool
    gpu: Text
    gpus: Annotated[int, Field(ge=1, le=1024)]
    driver: Text | None = None
    engine: Text
    engine_version: Text | None = None
    model: Text
    precision: Text
    kernel: Text
    kernel_told_by: Text
    power_source: Text
    wattroute: Text
    context: GroupSection
    states: GroupSection

    @property
    def decode_source(self) -> str:
        """In one line, as it is shown wherever the figures are used."""
        emulated = "EMULATED engine and GPUs, " if self.emulated else ""
        version = f" {self.engine_version}" if self.engine_version else ""
        return (
            f"wattroute profile of {self.date}: {emulated}{self.model} {self.precision} ({self.kernel}) on "
            f"{self.gpus}x {self.gpu}, {self.engine}{version}, power by {self.power_source}"
        )


class CellSection(Group):
    """One measured cell; kept for the reader, and for fits to come."""

    concurrency: Annotated[int, Field(ge=1)]
    input_tokens: Annotated[int, Field(ge=1)]
    output_tokens: Annotated[int, Field(ge=1)]
    steps: NotNegative
    decode_tokens: NotNegative
    prompt_tokens: NotNegative
    busy_s: NotNegative
    energy_j: Finite
    left_out: str = ""


class CurvesFile(Group):
    """The whole file."""

    wattroute_curves: int = FORM
    parameters: CurveFigures
    covariance: CovarianceSection
    fit: FitSection
    provenance: ProvenanceSection
    cells: tuple[CellSection, ...] = ()

    @field_validator("wattroute_curves")
    @classmethod
    def _is_known(cls, form: int) -> int:
        if form != FORM:
            raise ValueError(
                f"form {form} is unknown to this wattroute, which reads form {FORM}: read it with the wattroute that "
                "wrote the file (provenance.wattroute), or profile again"
            )
        return form

    def curves(self) -> PoolCurves:
        """As the planner, the simulator and the emulator take them."""
        told = self.provenance
        decode = Provenance(Evidence.MEASURED, told.decode_source)
        groups = GroupProvenance(
            decode=decode,
            prefill=decode,
            context=Provenance(told.context.evidence, told.context.source),
            states=Provenance(told.states.evidence, told.states.source),
        )
        uncertainty = CurveUncertainty(self.covariance.matrix, self.fit.power_held_out_mape_frac)
        return PoolCurves(**self.parameters.model_dump(), provenance=decode, groups=groups, uncertainty=uncertainty)

    def text(self) -> str:
        """As YAML."""
        head = "# Curves of one instance, made by `wattroute profile`; docs/reference/curves.md tells their meaning.\n"
        return head + yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=120, allow_unicode=True)


def is_path(curves: str) -> bool:
    """Whether what a configuration says of a pool's curves names a file rather than a built-in profile."""
    return curves.endswith(CURVES_SUFFIXES)


def read(path: Path) -> CurvesFile:
    """Read and validate a curves file.

    Raises:
        ConfigError: file, line, key and remedy of every fault.
    """
    try:
        text = config_file.read(path, name="curves", max_bytes=MAX_BYTES)
        return config_file.parse(text, CurvesFile, name=str(path))
    except SettingsError as error:
        raise ConfigError(f"{error}; `wattroute profile` writes such a file") from error
