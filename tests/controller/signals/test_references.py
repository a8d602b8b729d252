import contextlib
import dataclasses

from controller.errors import StoreError
from controller.grid.kept import Origin, Reference
from controller.model.programme import BaselineMethod, BaselineRule, Programme
from controller.signals.references import References
from controller.store.meter import MeterStore
from tests.fakes.controller_parts import NOW_S

TERMS = Programme("dr", baseline=BaselineRule(window_s=600.0))


class Store:
    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def baseline_w(self, programme, start_s, now_s, end_s=None):
        self.asked.append((programme.name, start_s, now_s, end_s))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def drew(references, from_s, until_s, power_w):
    for n in range(int(until_s - from_s)):
        references.take(from_s + n, power_w)


def test_the_programmes_rule_comes_first_then_what_was_seen_then_the_present_then_the_model():
    references = References(Store(700.0))
    assert references.baseline(TERMS, NOW_S, NOW_S) == Reference(700.0, Origin.PROGRAMME)
    references = References(Store(None))
    references.take(NOW_S, None, 400.0)
    assert references.baseline(TERMS, NOW_S, NOW_S) == Reference(400.0, Origin.MODELLED)
    drew(references, NOW_S - 50, NOW_S, 500.0)
    assert references.baseline(TERMS, NOW_S, NOW_S) == Reference(500.0, Origin.PRESENT)
    references = References(Store(None))
    drew(references, NOW_S - 600, NOW_S - 60, 600.0)
    drew(references, NOW_S - 60, NOW_S, 100.0)
    assert references.baseline(TERMS, NOW_S, NOW_S) == Reference(600.0, Origin.METER_BEFORE)
    assert References().baseline(TERMS, NOW_S, NOW_S) is None


def test_a_store_that_cannot_be_read_is_a_step_down_and_no_fault(caplog):
    references = References(Store(StoreError("disk")))
    references.take(NOW_S, None, 400.0)
    assert references.baseline(TERMS, NOW_S, NOW_S).origin is Origin.MODELLED
    assert any("baseline not read" in r.message for r in caplog.records)


def test_a_guess_is_made_once_a_minute_and_anew_at_the_start():
    store = Store(700.0, 710.0, 720.0)
    references = References(store)
    start_s = NOW_S + 90
    values = [references.by_rule(TERMS, start_s, NOW_S + t).value_w for t in (0, 30, 59, 60, 89, 90, 91)]
    assert values == [700.0, 700.0, 700.0, 710.0, 710.0, 720.0, 720.0]


def test_a_maximum_base_load_needs_no_meter():
    rule = BaselineRule(method=BaselineMethod.MAXIMUM_BASE_LOAD, maximum_w=900.0)
    fixed = dataclasses.replace(TERMS, baseline=rule)
    assert References().by_rule(fixed, NOW_S, NOW_S) == Reference(900.0, Origin.PROGRAMME)


def test_the_present_draw_is_that_of_the_start_where_it_was_seen():
    references = References()
    drew(references, NOW_S, NOW_S + 10, 500.0)
    drew(references, NOW_S + 10, NOW_S + 100, 300.0)
    assert references.present(NOW_S + 5, NOW_S + 100).value_w == 500.0
    assert references.present(NOW_S - 9999, NOW_S + 100).value_w == 300.0
    assert references.present(NOW_S + 200, NOW_S + 100).value_w == 300.0


def metered(tmp_path, from_s, until_s, power_w):
    store = MeterStore(tmp_path / "meter.sqlite")
    for n in range(int(until_s - from_s)):
        store.take(from_s + n, power_w)
        if n % 500 == 0:
            store.flush()
    store.flush()
    return store


def test_a_restart_knows_what_was_drawn_before_it(tmp_path):
    with contextlib.closing(metered(tmp_path, NOW_S - 700, NOW_S - 60, 900.0)) as store:
        references = References(Store(None), meter=store.means)
        assert references.baseline(TERMS, NOW_S, NOW_S) is None
        references.recall(NOW_S)
        assert references.baseline(TERMS, NOW_S, NOW_S) == Reference(900.0, Origin.METER_BEFORE)
        references.take(NOW_S, 500.0)
        assert references.present(NOW_S, NOW_S) == Reference(500.0, Origin.PRESENT)


def test_what_a_former_process_saw_by_another_course_of_the_clock_is_as_long_ago(tmp_path):
    with contextlib.closing(metered(tmp_path, NOW_S - 700, NOW_S - 60, 900.0)) as store:
        for step_s in (-7200.0, 7200.0):
            references = References(Store(None), meter=store.means)
            references.recall(NOW_S + step_s, step_s)
            found = references.baseline(TERMS, NOW_S + step_s, NOW_S + step_s)
            assert found == Reference(900.0, Origin.METER_BEFORE)


def test_a_store_that_cannot_be_read_leaves_what_was_drawn_unknown(caplog):
    def means(from_s, until_s, step_s):
        raise StoreError("disk")

    References(Store(None), meter=means).recall(NOW_S)
    assert any("before the start is not known" in r.message for r in caplog.records)
