from __future__ import annotations

import dataclasses

import pytest

from controller.study.registry import STUDIES
from controller.study.study import Outcome, Report


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.kind)
def test_settings_of_a_study_name_its_kind_and_refuse_unknown_keys(study) -> None:
    assert study.settings.model_config["extra"] == "forbid"
    assert study.settings.model_json_schema()["properties"]["kind"]["const"] == study.kind
    assert "title" in study.settings.model_fields


def test_what_a_run_gives_cannot_be_changed() -> None:
    outcome = Outcome({}, Report("t", (), (), (), (), ()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.report = outcome.report  # type: ignore[misc]
