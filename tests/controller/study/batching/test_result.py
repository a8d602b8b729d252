from __future__ import annotations

import dataclasses

import pytest

from controller.study.batching.result import Result


def test_figures_of_a_run_cannot_be_changed() -> None:
    result = Result((), (), ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.shaped = ()  # type: ignore[misc]
