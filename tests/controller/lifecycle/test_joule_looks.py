import dataclasses

import pytest

from controller.energy.attribution import Tokens
from controller.lifecycle.joule_looks import OTHER, Look, grown, signals_of, steps_since, told_since
from controller.model.observation import Missing, RouterObservation, SpentTokens
from tests.fakes.controller_parts import NOW_S, observation, site

GONE = Missing("router", "gone", NOW_S)


def heard(*spent, in_flight=(), streams=()):
    return observation(router=RouterObservation(NOW_S, 1, (), in_flight=in_flight, streams=streams, spent=spent))


def test_classes_that_are_not_the_sites_are_told_together():
    look = Look.of(
        heard(
            SpentTokens("bf16-0", "standard", 10.0, 20.0),
            SpentTokens("bf16-0", "strange", 1.0, 2.0),
            SpentTokens("bf16-0", "stranger", 3.0, 4.0),
        ),
        {"standard"},
    )
    assert look.told == {"bf16-0": {"standard": Tokens(10.0, 20.0), OTHER: Tokens(4.0, 6.0)}}


def test_requests_are_silent_until_something_of_their_stream_has_come():
    look = Look.of(heard(in_flight=(("bf16-0", 5), ("bf16-1", 1)), streams=(("bf16-0", 2), ("bf16-1", 3))), set())
    assert (look.silent_on("bf16-0"), look.silent_on("bf16-1"), look.silent_on("int4-0")) == (3, 0, 0)


def test_routers_that_are_not_heard_may_have_a_silent_request_and_tell_nothing():
    look = Look.of(observation(router=GONE), {"standard"})
    assert look.told is None
    assert look.silent_on("bf16-0") == 1


def test_an_engine_that_restarted_counts_from_zero():
    assert grown(Tokens(5.0, 5.0), Tokens(8.0, 9.0)) == Tokens(3.0, 4.0)
    assert grown(Tokens(5.0, 5.0), Tokens(8.0, 1.0)) == Tokens(8.0, 1.0)


@pytest.mark.parametrize(
    ("before", "now", "since"), [(4.0, 10.0, 6.0), (None, 10.0, None), (4.0, None, None), (10.0, 4.0, None)]
)
def test_steps_are_known_only_between_two_counts_of_one_engine(before, now, since):
    assert steps_since(before, now) == since


def test_a_class_that_told_nothing_new_is_left_out():
    before = {"a": Tokens(1.0, 1.0), "b": Tokens(1.0, 1.0)}
    assert told_since(before, {"a": Tokens(1.0, 1.0), "b": Tokens(1.0, 3.0), "c": Tokens(2.0, 0.0)}) == (
        ("b", Tokens(0.0, 2.0)),
        ("c", Tokens(2.0, 0.0)),
    )


def test_a_joule_at_the_gpus_costs_more_than_one_at_the_meter():
    signals = signals_of(dataclasses.replace(site(), pue=1.25), observation())
    assert signals.usd_per_j == pytest.approx(42.0 * 1.25 / 3.6e9)
    assert signals.kg_per_j == pytest.approx(310.0 * 1.25 / 3.6e9)


def test_a_missing_price_is_not_free():
    assert signals_of(site(), observation(price_usd_per_mwh=Missing("price", "gone", NOW_S))).usd_per_j is None
