"""How soon canaries find what answers nonsense, and that they leave alone what does not."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from controller.model.fleet import Site
from controller.quality.answers import Answer
from controller.quality.bars import Bars
from controller.quality.canary import Canaries, Errand, Pause
from controller.quality.evidence import Rule
from controller.quality.prompts import BUILT_IN, CHAT, from_sample
from router.contract import Precision
from tests.fakes.canary_fleet import CanaryFleet, set_pool
from tests.fakes.controller_parts import pool, site

WITHIN = 60
"""Canaries: a minute at one a second."""


def _site(fp8: int = 2, int4: int = 1, bf16: int = 2) -> Site:
    def urls(n: int, port: int) -> tuple[str, ...]:
        return tuple(f"http://127.0.0.1:{port + k}" for k in range(n))

    return site(
        pool("bf16", urls(bf16, 9000)),
        pool("fp8", urls(fp8, 9100), Precision.FP8),
        pool("int4", urls(int4, 9200), Precision.INT4),
    )


def _warm(at: Site, seed: int, lower: float = 0.9) -> CanaryFleet:
    """A fleet that has been sound for ten minutes, its lower precisions agreeing nine times in ten."""
    fleet = CanaryFleet(at, seed)
    set_pool(fleet, at, {"bf16": 0.99, "fp8": lower, "int4": lower})
    assert fleet.run(600) == []
    return fleet


@pytest.mark.parametrize("fp8", [1, 2, 4])
def test_a_pool_that_turns_to_nonsense_is_barred_within_a_minute_at_one_a_second(fp8: int) -> None:
    at = _site(fp8=fp8)
    for seed in range(40):
        fleet = _warm(at, seed)
        set_pool(fleet, at, {"fp8": 0.0})
        found = fleet.until_change(WITHIN)
        assert found is not None, f"seed {seed}: not found within {WITHIN} canaries"
        assert found[0].is_set
        assert found[0].barred.name == "fp8"


def test_one_bad_instance_is_barred_alone_within_a_minute() -> None:
    at = _site(fp8=3)
    for seed in range(40):
        fleet = _warm(at, seed)
        fleet.agreement["fp8-1"] = 0.0
        found = fleet.until_change(WITHIN + 10)
        assert found is not None
        assert found[0].barred.name == "fp8-1"
        assert fleet.run(600) == []  # its neighbours are left alone, and so is the pool


def test_sound_pools_are_left_alone_for_half_a_day_of_canaries() -> None:
    at = _site()
    fleet = CanaryFleet(at, 3)
    set_pool(fleet, at, {"bf16": 0.97, "fp8": 0.9, "int4": 0.9})
    assert fleet.run(43_200) == []


def test_a_barred_pool_comes_back_after_good_canaries_in_a_row() -> None:
    at = _site()
    fleet = _warm(at, 7)
    set_pool(fleet, at, {"fp8": 0.0})
    assert fleet.until_change(WITHIN) is not None
    assert fleet.run(300) == []  # nonsense does not come back
    set_pool(fleet, at, {"fp8": 1.0})
    found = fleet.until_change(400)
    assert found is not None
    assert not found[0].is_set
    assert found[1] >= Rule().readmit_after
    assert fleet.bars.barred == ()


def test_while_the_reference_sleeps_its_kept_answers_serve() -> None:
    at = _site()
    fleet = _warm(at, 2)
    fleet.asleep = {"bf16-0", "bf16-1"}
    set_pool(fleet, at, {"fp8": 0.0})
    found = fleet.until_change(WITHIN)
    assert found is not None
    assert found[0].barred.name == "fp8"


def test_a_reference_that_breaks_is_barred_and_takes_nobody_with_it() -> None:
    at = _site()
    for seed in range(20):
        fleet = _warm(at, seed)
        set_pool(fleet, at, {"bf16": 0.0})
        changes = fleet.run(3 * WITHIN)
        assert [change.barred.name for change in changes] == ["bf16"]


def test_without_reference_or_target_it_waits_and_says_so() -> None:
    at = _site()
    fleet = CanaryFleet(at, 0)
    fleet.asleep = {"bf16-0", "bf16-1"}
    assert fleet.send() == Pause("no_reference")
    fleet.asleep = set(fleet.pool_of)
    assert fleet.send() == Pause("no_target")
    assert fleet.sent == 0


def test_every_instance_is_asked_in_turn() -> None:
    fleet = CanaryFleet(_site(), 0)
    fleet.run(50)
    assert {name: fleet.asked.count(name) for name in fleet.pool_of} == dict.fromkeys(fleet.pool_of, 10)


def test_samples_are_asked_of_others_and_told_by_class() -> None:
    at = _site()
    fleet = CanaryFleet(at, 0)
    fleet.canaries.take_samples([from_sample(CHAT, '{"messages": []}', "batch")])
    fleet.run(200)
    by_pool = {report.pool_id: dict(report.by_class) for report in fleet.canaries.reports()}
    assert set(by_pool["fp8"]) == {BUILT_IN, "batch"}
    assert set(by_pool["bf16"]) == {BUILT_IN}  # what a client asked is not kept
    fp8 = next(report for report in fleet.canaries.reports() if report.pool_id == "fp8")
    assert fp8.agreement.frac == 1.0
    assert fp8.agreement.low_frac > 0.9


def test_what_was_kept_is_forgotten_with_the_references_bar() -> None:
    at = _site(bf16=1)
    fleet = CanaryFleet(at, 0)
    errand = next(e for _ in range(9) if isinstance(e := fleet.canaries.next(fleet.observed()), Errand)
                  and e.target == "bf16-0")  # fmt: skip
    old, new = Answer("old", ("old",)), Answer("new", ("new",))
    assert fleet.canaries.take(errand, old, None, 0.0) == (None, ())
    compared, _ = fleet.canaries.take(errand, new, None, 0.0)
    assert compared is not None
    assert not compared.agrees
    fleet.canaries.forget_kept("bf16")
    assert fleet.canaries.take(errand, new, None, 0.0) == (None, ())


def test_a_reference_that_nobody_serves_is_refused() -> None:
    at = _site()
    bars = Bars(Rule(), at, 1.0)
    with pytest.raises(ValueError, match="int8"):
        Canaries(at, bars, Rule(), Random(0), Precision.INT8)


def _broken_from_the_start(seed: int) -> CanaryFleet:
    """The reference always gives the same wrong answers, so that it agrees with itself."""
    at = _site()
    fleet = CanaryFleet(at, seed)
    set_pool(fleet, at, {"bf16": 1.0, "fp8": 0.0, "int4": 0.0})
    return fleet


def test_a_reference_broken_from_the_start_is_doubted_and_takes_nobody_with_it() -> None:
    for seed in range(10):
        fleet = _broken_from_the_start(seed)
        assert fleet.run(3 * WITHIN) == []
        assert fleet.canaries.is_reference_doubted


def test_a_pool_broken_from_the_start_is_barred_once_another_bears_the_reference_out() -> None:
    at = _site()
    for seed in range(20):
        fleet = CanaryFleet(at, seed)
        set_pool(fleet, at, {"bf16": 1.0, "fp8": 0.0, "int4": 0.9})
        found = fleet.until_change(2 * WITHIN)
        assert found is not None
        assert found[0].barred.name == "fp8"
        assert not fleet.canaries.is_reference_doubted


def test_two_pools_that_break_later_are_barred_as_the_reference_was_borne_out() -> None:
    at = _site()
    fleet = _warm(at, 5)
    set_pool(fleet, at, {"fp8": 0.0, "int4": 0.0})
    assert {change.barred.name for change in fleet.run(3 * WITHIN)} == {"fp8", "int4"}


def test_while_no_other_pool_serves_a_pool_that_differs_is_barred() -> None:
    fleet = _broken_from_the_start(1)
    fleet.asleep = {"int4-0"}
    found = fleet.until_change(WITHIN)
    assert found is not None
    assert found[0].barred.name == "fp8"
    assert fleet.canaries.is_reference_doubted


def test_what_a_doubted_reference_counted_against_others_is_forgotten_with_it() -> None:
    fleet = _broken_from_the_start(2)
    fleet.run(3 * WITHIN)
    fleet.bars.bar("bf16", "nonsense", 0.0)
    fleet.canaries.forget_kept("bf16")
    assert not fleet.canaries.is_reference_doubted
    assert fleet.send() == Pause("no_reference")
    fleet.bars.lift("bf16", "mended")
    set_pool(fleet, _site(), {"bf16": 1.0, "fp8": 1.0, "int4": 1.0})
    assert fleet.run(3 * WITHIN) == []
    assert fleet.bars.suspicion("fp8-0") < 0.1


def test_an_answer_of_an_instance_that_is_gone_meanwhile_judges_nobody() -> None:
    at = _site()
    fleet = CanaryFleet(at, 1)
    errand: Errand | Pause = Pause("no_target")
    while isinstance(errand, Pause) or errand.reference is None or fleet.pool_of[errand.target] != at.pools[1].pool_id:
        errand = fleet.canaries.next(fleet.observed())
    gone = replace(at, pools=(at.pools[0], replace(at.pools[1], instances=()), *at.pools[2:]))
    fleet.bars.follow(gone)
    fleet.canaries.follow(gone)
    assert fleet.canaries.take(errand, Answer("a", ("a",)), Answer("b", ("b",)), 1.0) == (None, ())
    assert [report.suspicion_frac for report in fleet.canaries.reports()] == [0.0, 0.0, 0.0]
