import dataclasses

import pytest

from controller.evidence.closing import accounted
from controller.evidence.flow import Flow
from controller.evidence.read import read_event
from controller.evidence.series import Sample
from controller.report.findings import Standing, findings
from controller.store.chain import Head
from tests.fakes.played_event import LENGTH_S, START_S, Player, call_record, event, played

LATER_S = START_S + LENGTH_S + 9000.0


def found_in(path, now_s=LATER_S):
    evidence = read_event(path, "evening")
    return findings(evidence, Flow(path, evidence), Head(9, "ab" * 32), "evidence.sqlite", now_s)


def test_a_final_event(tmp_path):
    found = found_in(played(tmp_path))
    assert (found.standing, found.is_emulated, found.agrees) == (Standing.FINAL, True, None)
    assert {row.verdict for row in found.rows} == {"kept"}
    assert found.rows[0].limit_kw == 4.0
    assert found.qualities == {"emulated": 600}
    assert [phase.name for phase in found.phases] == ["before", "during", "after"]


@pytest.mark.parametrize(
    ("now_s", "standing"),
    [
        (START_S - 1, Standing.PENDING),
        (START_S + 1, Standing.UNDER_WAY),
        (START_S + LENGTH_S + 1, Standing.SETTLING),
        (LATER_S, Standing.FINAL),
    ],
)
def test_it_says_how_far_the_event_has_gone(tmp_path, now_s, standing):
    assert found_in(played(tmp_path), now_s).standing is standing


def test_cancelled_and_opted_out_are_told(tmp_path):
    for name, changes, standing in (
        ("a", {"cancelled_s": START_S + 100}, Standing.CANCELLED),
        ("b", {"opted_out_s": START_S + 100}, Standing.OPTED_OUT),
    ):
        player = Player(tmp_path / name)
        player.call()
        player.play(START_S + 100, event())
        player.call("changed", **changes)
        player.play(START_S + 130)
        player.close()
        found = found_in(player.path)
        assert found.standing is standing
        assert found.parts[0].until_s == START_S + 100


def test_intervals_over_the_limit_short_and_missing_are_marked(tmp_path):
    def drawn(now_s):
        into_s = now_s - START_S
        if 90 <= into_s < 150:
            return 4100.0
        return None if 210 <= into_s < 270 else 3990.0

    player = Player(tmp_path)
    player.play(START_S + LENGTH_S + 10, event(baseline_w=5000.0), power=drawn)
    player.close()
    found = found_in(player.path)
    verdicts = [row.verdict for row in found.rows]
    assert verdicts[:5] == ["kept", "over the limit", "kept", "MISSING", "kept"]
    assert found.rows[3].delivered_kw is None
    assert found.qualities["missing"] == 60


def test_without_a_baseline_what_was_measured_still_stands_against_the_limit(tmp_path):
    found = found_in(played(tmp_path, baseline_w=None))
    assert found.parts[0].account is None
    assert {row.verdict for row in found.rows} == {"kept"}
    assert {row.delivered_kw for row in found.rows} == {None}


def test_the_recorded_account_is_compared_with_the_one_made_anew(tmp_path):
    player = Player(tmp_path, close=lambda span: accounted(player.path, span))
    player.desk.record("call", START_S - 60, call_record())
    player.play(START_S + LENGTH_S + 3700.0, event())
    player.close()
    found = found_in(player.path)
    assert found.agrees is True
    evidence = read_event(player.path, "evening")
    other = [
        dataclasses.replace(each, power_w=1.0) if isinstance(each, Sample) else each
        for each in Flow(player.path, evidence)
    ]
    assert findings(evidence, other, found.head, "x", LATER_S).agrees is False
