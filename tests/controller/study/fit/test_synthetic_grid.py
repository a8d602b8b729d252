from __future__ import annotations

from pathlib import Path
from random import Random

from controller.study.fit import synthetic_grid as module
from controller.study.fit.workload import SYNTHETIC_FILE

SHIPPED = Path(module.__file__).parent / "data" / SYNTHETIC_FILE


def test_the_shipped_grid_is_the_one_that_its_seed_makes() -> None:
    assert SHIPPED.read_text() == module.synthetic_grid(Random(module.SEED))


def test_it_says_that_nothing_was_measured() -> None:
    assert SHIPPED.name.startswith("SYNTHETIC")
    assert SHIPPED.read_text().startswith("# SYNTHETIC: ")
    assert all(model.startswith("synthetic") for model in module.MODELS)
