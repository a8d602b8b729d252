from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.study.events import parts
from controller.study.events.account import EventFigures
from controller.study.events.parts import digest, play_parts
from controller.study.events.settings import EventsStudySettings
from controller.study.study import Working
from tests.fakes.event_parts import figures, short


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers played, without the work."""
    numbers: list[int] = []
    one = figures(0)

    def play(settings: EventsStudySettings, number: int) -> EventFigures:
        numbers.append(number)
        return dataclasses.replace(one, number=number)

    monkeypatch.setattr(parts, "play_part", play)
    return numbers


def test_all_are_played_in_order(played: list[int]) -> None:
    told: list[int] = []
    found = play_parts(short(events=3), Working(), told.append)
    assert [each.number for each in found] == played == [0, 1, 2]
    assert told == [0, 1, 2, 3]


def test_a_run_that_was_ended_goes_on_where_it_was(played: list[int], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    first = play_parts(short(), Working(parts=(0, 2), folder=folder), lambda _: None)
    played.clear()
    found = play_parts(short(), Working(parts=(0, 4), folder=folder), lambda _: None)
    assert played == [2, 3]
    assert found[:2] == first
    assert sorted(path.name for path in folder.iterdir()) == [f"event-0000{n}.json" for n in range(4)]


def test_more_events_of_the_same_scenario_go_on_too() -> None:
    assert digest(short(events=3, title="other")) == digest(short())
    assert digest(short(seed=9)) != digest(short())


def test_figures_of_another_scenario_are_not_taken_for_these(played: list[int], tmp_path: Path) -> None:
    play_parts(short(events=1), Working(folder=tmp_path), lambda _: None)
    with pytest.raises(ConfigError, match="another scenario"):
        play_parts(short(events=1, seed=2), Working(folder=tmp_path), lambda _: None)


def test_a_torn_file_is_told(played: list[int], tmp_path: Path) -> None:
    (tmp_path / "event-00000.json").write_text('{"scenario"')
    with pytest.raises(ConfigError, match="delete it"):
        play_parts(short(events=1), Working(folder=tmp_path), lambda _: None)


@pytest.mark.parametrize("chosen", [(0, 9), (3, 3), (-1, 2)])
def test_an_event_that_is_not_there_is_refused(chosen: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="0 to 7"):
        play_parts(short(), Working(parts=chosen), lambda _: None)


def test_processes_give_what_one_process_gives() -> None:
    (found,) = play_parts(short(), Working(jobs=2, parts=(0, 1)), lambda _: None)
    assert found == dataclasses.replace(figures(0), late_plans=found.late_plans)
