"""HiGHS, ready for a program: the options that every search has, and those of a program with few whole numbers."""

from __future__ import annotations

from collections.abc import Mapping

import highspy

Options = Mapping[str, bool | int | float]

ALWAYS: Options = {
    "output_flag": False,
    "random_seed": 0,
    # It may search a part of the problem for many times the time limit without a look at the clock.
    "mip_heuristic_run_root_reduced_cost": False,
}
FEW = 256
"""Whole numbers up to which the tree is searched plainly: it is done before anything else pays."""
PLAINLY: Options = {
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_rens": False,
    "mip_detect_symmetry": False,
    "mip_allow_cut_separation_at_nodes": False,
    "mip_pscost_minreliable": 1,
}
"""No searches within the search, no inequalities below the root, and few trials before a branch is chosen: half the
time of HiGHS's own choice for plans of a site with two to four pools. A version that lacks one of these searches as it
does by itself."""


def opened(options: Options, whole_numbers: int) -> highspy.Highs:
    """HiGHS without a program.

    Args:
        options: beside `ALWAYS`.
        whole_numbers: that the program has; 0 for a linear one.
    """
    highs = highspy.Highs()
    plainly = PLAINLY if 0 < whole_numbers <= FEW else {}
    for name, value in {**ALWAYS, **options, **plainly}.items():
        highs.setOptionValue(name, value)
    return highs
