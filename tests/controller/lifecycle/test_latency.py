from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.lifecycle.latency import LATENCIES, fallback, unkept
from controller.lifecycle.problem import allowed_pools
from controller.model.fleet import RequestClass
from controller.optimizer.first_token import largest_share_frac
from controller.optimizer.workload import Lengths, slo_batch
from router.contract import ClassId, Precision
from tests.fakes.controller_parts import curves, pool, site

UTILISATION = 0.85
FAST = curves()
SLOW = replace(FAST, step_base_s=0.08)
LENGTHS = Lengths(1000.0, 250.0)


def case(request_class, lengths=LENGTHS, pools=None):
    """The site, and what is not kept as a tick finds it."""
    fleet = site(
        *(pools or (pool("bf16", ("http://a",)), pool("int4", ("http://b",), Precision.INT4, curves=SLOW))),
        classes=(request_class,),
    )
    batches = tuple(slo_batch(p.curves, request_class, lengths) for p in fleet.pools)
    shares = tuple(
        largest_share_frac(p.curves, request_class, lengths, batch, UTILISATION)
        for p, batch in zip(fleet.pools, batches, strict=True)
    )
    allowed = allowed_pools(fleet, request_class, batches, shares)
    keeps = (
        [p for p, batch in zip(fleet.pools, batches, strict=True) if request_class.may_use(p) and batch >= 1],
        [p for p, share in zip(fleet.pools, shares, strict=True) if request_class.may_use(p) and share > 0],
    )
    return unkept(fleet, request_class, lengths, allowed, UTILISATION), keeps


def cls(**more):
    return RequestClass(ClassId("chat"), **more)


def test_a_class_whose_targets_are_kept_stands_at_the_top():
    assert case(cls())[0] == ()
    assert fallback(cls(), LENGTHS, ()) == ()


@pytest.mark.parametrize(
    ("request_class", "lengths", "missed", "told"),
    [
        (
            cls(itl_slo_s=0.01),
            LENGTHS,
            LATENCIES,
            "keeps 0.01 s between tokens even alone; raise plan.classes.chat.itl",
        ),
        (cls(ttft_slo_s=0.001), LENGTHS, ("first_token",), "keeps 0.001 s to first token at 1000 prompt tokens; raise"),
        (cls(precisions=(Precision.FP8,)), LENGTHS, ("pool",), "may use no pool; allow it a precision"),
        (cls(itl_slo_s=0.06, precisions=(Precision.INT4,)), LENGTHS, LATENCIES, "keeps 0.06 s between tokens"),
    ],
)
def test_what_no_pool_keeps_is_told_with_its_remedy(request_class, lengths, missed, told):
    assert case(request_class, lengths)[0] == missed
    (step,) = fallback(request_class, lengths, missed)
    assert (step.ladder, step.subject) == ("latency", "chat")
    assert told in step.reason


def test_a_pool_without_instances_serves_no_class():
    assert case(cls(), pools=(pool("bf16", ()),))[0] == ("pool",)


def test_one_pool_that_keeps_the_first_token_is_enough():
    slow, fast = pool("int4", ("http://b",), Precision.INT4, curves=SLOW), pool("bf16", ("http://a",))
    found, (flowing, prompt) = case(cls(itl_slo_s=0.5, ttft_slo_s=0.08), pools=(slow, fast))
    assert (found, flowing, prompt) == ((), [slow, fast], [fast])


@settings(max_examples=60)
@given(st.floats(0.005, 0.2), st.floats(0.001, 3.0), st.floats(10.0, 30_000.0), st.booleans())
def test_a_target_is_unkept_exactly_where_no_pool_keeps_it(itl_s, ttft_s, input_tokens, slow_first):
    pools = (pool("bf16", ("http://a",)), pool("int4", ("http://b",), Precision.INT4, curves=SLOW))
    request_class = cls(itl_slo_s=itl_s, ttft_slo_s=ttft_s)
    found, (flowing, prompt) = case(request_class, Lengths(input_tokens, 250.0), pools[::-1] if slow_first else pools)
    assert ("inter_token" not in found) == bool(flowing)
    assert ("first_token" not in found) == bool(prompt)
