from __future__ import annotations

import json

from controller.study.events import run as run_module
from controller.study.events.result import EventsResult
from controller.study.figures import as_json
from controller.study.study import Working
from tests.fakes.event_parts import figures, short


def test_figures_and_report_come_of_some_events_or_of_all(monkeypatch) -> None:
    asked: list[Working] = []

    def play(settings, working, told):
        asked.append(working)
        told(1)
        return (figures(0),)

    monkeypatch.setattr(run_module, "play_parts", play)
    done: list[float] = []
    for outcome in (
        run_module.run(short(), lambda frac, _: done.append(frac)),
        run_module.STUDY.run_parts(short(), lambda frac, _: done.append(frac), Working(2, (0, 4))),
    ):
        found = outcome.figures["result"]
        assert isinstance(found, EventsResult)
        assert json.loads(as_json(outcome.figures))["result"]["events"][0]["number"] == 0
    assert asked == [Working(), Working(2, (0, 4))]
    assert done == [1 / 8, 1 / 4]
