from __future__ import annotations

import pytest

from controller.errors import ConfigError
from controller.study.events.settings import EventsStudySettings
from controller.study.settings import parse

WRITTEN = "kind: events\ntitle: t\n"


def read(more: str = "") -> EventsStudySettings:
    return parse(WRITTEN + more, EventsStudySettings, "file")


def test_what_is_not_written_is_what_is_published() -> None:
    settings = read()
    assert (settings.events, settings.depth.least_frac, settings.depth.most_frac) == (200, 0.05, 0.40)
    assert (settings.length.least_min, settings.length.most_min) == (5.0, 600.0)
    assert (min(settings.notice_s), max(settings.notice_s)) == (0.0, 7200.0)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("depth: {least_frac: 0.5, most_frac: 0.2}\n", "swap them"),
        ("length: {least_min: 50, most_min: 20}\n", "swap them"),
        ("notice_s: []\n", "notice_s"),
        ("pools: [0]\n", "pools"),
        ("baseline_s: 4000\n", "lengthen it"),
        ("depht: {}\n", "depht"),
    ],
)
def test_faults_are_refused_by_name(more: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(more)
