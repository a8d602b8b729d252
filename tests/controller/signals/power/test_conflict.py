import pytest

from controller.model.observation import Quality, Reading
from controller.signals.power.conflict import ConflictRules, Conflicts, disagree

RULES = ConflictRules(frac=0.10, floor_w=50.0, within_s=5.0)
T = 1000.0


def at(value_w: float, at_s: float = T, source: str = "a") -> Reading:
    return Reading(value_w, None, at_s, source, Quality.DIRECT)


@pytest.mark.parametrize(
    ("one_w", "other_w", "apart"),
    [(700, 640, False), (700, 620, True), (60, 20, False), (41, 41_000, True), (4000, -4000, True)],
)
def test_they_disagree_beyond_the_share_and_the_floor(one_w, other_w, apart):
    assert disagree(at(one_w), at(other_w), RULES) is apart
    assert disagree(at(other_w), at(one_w), RULES) is apart


def test_the_higher_counts_at_once_and_the_alarm_comes_when_it_lasts():
    conflicts = Conflicts()
    high = at(500, source="b")
    assert conflicts.judge("g", at(400), [high, at(405)], rules=RULES, now_s=T) is high
    assert conflicts.lasting(10.0, T + 9) == ()
    (alarm,) = conflicts.lasting(10.0, T + 10)
    assert (alarm.subject, alarm.higher, alarm.higher_w, alarm.lower, alarm.lower_w) == ("g", "b", 500, "a", 400)


def test_readings_of_other_times_are_not_compared_and_end_no_conflict():
    conflicts = Conflicts()
    chosen = at(400)
    assert conflicts.judge("g", chosen, [at(900, T - 20)], rules=RULES, now_s=T) is chosen
    assert conflicts.lasting(0.0, T) == ()
    conflicts.judge("g", chosen, [at(900)], rules=RULES, now_s=T)
    conflicts.judge("g", chosen, [at(900, T - 20)], rules=RULES, now_s=T + 5)
    assert conflicts.lasting(10.0, T + 10)[0].since_s == T
    conflicts.judge("g", chosen, [at(401)], rules=RULES, now_s=T + 11)
    assert conflicts.lasting(0.0, T + 11) == ()


def test_a_conflict_ends_with_the_source_or_the_subject():
    conflicts = Conflicts()
    conflicts.judge("g", at(400), [at(900)], rules=RULES, now_s=T)
    conflicts.judge("h", at(400), [at(900)], rules=RULES, now_s=T)
    conflicts.judge("g", at(400), [], rules=RULES, now_s=T)
    assert [one.subject for one in conflicts.lasting(0.0, T)] == ["h"]
    conflicts.keep_only(())
    assert conflicts.lasting(0.0, T) == ()
