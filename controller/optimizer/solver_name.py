"""What may search for whole instances, by name; free of any solver."""

from __future__ import annotations

from enum import StrEnum


class SolverName(StrEnum):
    """What searches for whole instances.

    Attributes:
        HIGHS: our search on HiGHS, which comes with the controller.
        SCIP: branch and cut of SCIP, of the extra `scip`.
        SCIPY: HiGHS as scipy brings it, with nothing of ours around it.
    """

    HIGHS = "highs"
    SCIP = "scip"
    SCIPY = "scipy"
