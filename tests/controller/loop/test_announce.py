import dataclasses

from controller.lifecycle.diagnostics import Fallback, Foreseen
from controller.loop.announce import Announcer
from controller.model.plan import Slack
from tests.fakes.controller_parts import diagnostics


def told(caplog, *ticks):
    """The log's lines for diagnostics of several ticks, a list each."""
    announcer, lines = Announcer(), []
    caplog.set_level("INFO")
    for tick in ticks:
        caplog.clear()
        announcer.take(diagnostics(**tick))
        lines.append([(record.levelname, record.message, record.subject) for record in caplog.records])
    return lines


def down(step="greedy", ladder="plan", subject="", reason="slow solver"):
    return Fallback(ladder, step, reason, subject)


def test_each_step_down_and_back_is_told_once(caplog):
    lines = told(
        caplog,
        {},
        {"fallbacks": (down(),)},
        {"fallbacks": (down(reason="still slow"),)},
        {"fallbacks": (down("last_plan"),)},
        {},
        {},
    )
    lower = [("WARNING", "standing on a lower step", "")]
    assert lines == [[], lower, [], lower, [("INFO", "back at the top", "")], []]


def test_the_lowest_of_several_steps_is_told_with_its_reason(caplog):
    told(caplog, {"fallbacks": (down("dispatch"), down("greedy", reason="no plan at all"))})
    (record,) = caplog.records
    assert (record.ladder, record.step, record.reason) == ("plan", "greedy", "no plan at all")


def test_classes_stand_on_steps_of_their_own(caplog):
    one, two = down("x", "latency", "chat"), down("x", "latency", "batch")
    lines = told(caplog, {"fallbacks": (one, two)}, {"fallbacks": (two,)})
    assert [subject for _, _, subject in lines[0]] == ["chat", "batch"]
    assert lines[1] == [("INFO", "back at the top", "chat")]


def test_instances_that_are_held_are_told_once_however_the_reason_reads(caplog):
    lines = told(caplog, {"holding": "seen for 5 s"}, {"holding": "seen for 10 s"}, {})
    assert [[level for level, _, _ in tick] for tick in lines] == [["WARNING"], [], ["INFO"]]


def test_a_broken_promise_is_told_once_and_when_it_is_kept_again(caplog):
    lines = told(
        caplog,
        {"slack": (Slack("limit", "site", 100.0, "W"),)},
        {"slack": (Slack("limit", "site", 80.0, "W"), Slack("serve", "chat", 5.0, "tokens/s"))},
        {"slack": (Slack("serve", "chat", 5.0, "tokens/s"),)},
    )
    broken = ("WARNING", "a promise cannot be kept")
    assert lines == [[(*broken, "site")], [(*broken, "chat")], [("INFO", "a promise is kept again", "site")]]


def test_a_promise_that_will_be_broken_is_told_before_it_is(caplog):
    coming = Foreseen("serve", "chat", 5.0, "tokens/s", 1000.0)
    lines = told(caplog, {"foreseen": (coming,)}, {"foreseen": (dataclasses.replace(coming, amount=6.0),)}, {})
    assert lines == [[("WARNING", "a promise will not be kept under a limit", "chat")], [], []]
