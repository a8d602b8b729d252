from __future__ import annotations

from controller.study.registry import STUDIES
from controller.study.scenario_file import shipped


def test_kinds_differ() -> None:
    kinds = [study.kind for study in STUDIES]
    assert len(set(kinds)) == len(kinds)


def test_every_kind_has_a_shipped_scenario_and_every_scenario_a_kind() -> None:
    assert {head.kind for _, head in shipped()} == {study.kind for study in STUDIES}
