"""What a planning problem costs at least, prices of broken promises included: what its laws are about."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from controller.errors import SolverError
from controller.optimizer.data import ProblemData
from controller.optimizer.groups import Covering
from controller.optimizer.milp import compile_milp
from controller.optimizer.program import Answer, Held, Program, Search
from controller.optimizer.reduction import reduced
from controller.optimizer.search import search_whole
from controller.optimizer.solving import BROKEN_PROMISE_GAP_FRAC, SolverOptions, program_of
from controller.optimizer.values import energy_bill, set_values, shape_of
from controller.optimizer.whole_fleet import WholeFleet

LIMIT_S = 10.0
NUMERIC = 0.3
"""Of the objective, in millionths of a USD: what is arithmetic."""
_compiled = lru_cache(maxsize=64)(compile_milp)


def stated(data: ProblemData) -> Program:
    """The arrays of a problem."""
    compiled = _compiled(shape_of(data))
    set_values(compiled.parameters, data, compiled.shape)
    return reduced(program_of(compiled))


def searched(data: ProblemData, gap_frac: float = 0.0) -> Answer:
    """The planner's answer; the gap is a share of the energy bill."""
    search = SolverOptions(gap_frac=gap_frac).search(energy_bill(data), LIMIT_S)
    return search_whole(stated(data), Covering(data), search, lambda: 0.0, WholeFleet(data))


def tolerance(objective: float) -> float:
    """By how much an answer without a gap may lie above the least."""
    return 2 * BROKEN_PROMISE_GAP_FRAC * abs(objective) + NUMERIC


def every_answer(data: ProblemData) -> Iterator[Answer]:
    """The best answer for each choice of instances on, of a problem whose engines cannot sleep: plain enumeration."""
    program = stated(data)
    held, on = Held(program, Search(LIMIT_S)), program.columns["on"]
    for counts in itertools.product(*(range(int(most) + 1) for most in program.upper[on].ravel())):
        held.fix(on, np.array(counts, dtype=float).reshape(on.shape))
        try:
            yield held.relaxed(LIMIT_S)
        except SolverError:
            continue
