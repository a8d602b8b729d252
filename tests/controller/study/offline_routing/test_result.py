from __future__ import annotations

import dataclasses

import pytest

from controller.study.offline_routing.result import Alone


def test_figures_of_a_run_cannot_be_changed() -> None:
    alone = Alone("m", None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        alone.model = "n"  # type: ignore[misc]
