"""From head and body to an accepted request, the short way and the long way alike."""

from __future__ import annotations

from typing import Any

import pytest

from router.affinity import position_of
from router.contract import InstanceId, Precision
from router.dispatch import Dispatcher
from router.exchange import Ask, Outcome, Refusal
from router.openai import RequestFacts, Usage
from router.tenants.keys import KeyDigest, digest_of
from router.tenants.limits import Allowance
from router.tenants.tenant import TenantSpec
from tests.fakes.routing import NOW_S, ask, choose, router_file

CLASSES: list[dict[str, Any]] = [
    {"name": "standard", "expected_output_tokens": 100},
    {"name": "flex", "service_tiers": ["flex"]},
]


def build(**sections: Any) -> Dispatcher:
    return Dispatcher(router_file({"bf16": 1, "fp8": 1}, classes=CLASSES, **sections))


@pytest.mark.parametrize(("max_tokens", "expected"), [(None, 100.0), (7, 7.0), (0, 0.0), (5000, 100.0)])
@pytest.mark.parametrize("model", ["m", "m@bf16"])
def test_no_more_tokens_are_expected_than_the_client_accepts(
    model: str, max_tokens: int | None, expected: float
) -> None:
    found = ask(build(), RequestFacts(model=model, max_tokens=max_tokens, valid=True))
    assert found.expected_tokens == expected
    assert found.engine_model == (None if model == "m" else "m")


@pytest.mark.parametrize("tier", [None, "flex"])
def test_what_belongs_together_is_known_by_its_session_before_its_prompt(tier: str | None) -> None:
    dispatcher = build()
    both = RequestFacts(session_key="u", prefix=5, service_tier=tier, valid=True)
    assert (ask(dispatcher, both).position, ask(dispatcher, both).is_session) == (position_of("u"), True)
    prompt = RequestFacts(prefix=5, service_tier=tier, valid=True)
    assert (ask(dispatcher, prompt).position, ask(dispatcher, prompt).is_session) == (5, False)
    assert ask(dispatcher, RequestFacts(service_tier=tier, valid=True)).position is None


def test_every_accepted_request_is_counted_once_under_its_class() -> None:
    dispatcher = build()
    for facts in (RequestFacts(), RequestFacts(service_tier="flex"), RequestFacts(model="m@fp8"), RequestFacts()):
        ask(dispatcher, facts)
    counts = {item.class_id: item.requests for item in dispatcher.state(NOW_S).classes}
    assert counts == {"standard": 3, "flex": 1}


def test_a_named_class_comes_before_the_default() -> None:
    dispatcher = build(default_class="flex")
    assert ask(dispatcher).class_id == "flex"
    assert ask(dispatcher, x_wattroute_class="standard").class_id == "standard"
    assert isinstance(dispatcher.ask(dispatcher.hints({}), RequestFacts(), NOW_S), Ask)


@pytest.mark.parametrize(
    ("affinity", "instances", "reads"),
    [("prefix", 2, True), ("prefix", 1, False), ("session", 2, False), ("none", 2, False)],
)
def test_the_prompt_is_looked_at_only_where_that_makes_a_difference(affinity: str, instances: int, reads: bool) -> None:
    dispatcher = Dispatcher(router_file({"bf16": instances}, router={"affinity": affinity}))
    facts = dispatcher.read_facts(b'{"messages":[{"role":"user","content":"hi"}]}')
    assert (ask(dispatcher, facts).position is not None) is reads


def tenants(**more: Any) -> Dispatcher:
    """A dispatcher with one tenant, whose key is ``k`` until a minute from now."""
    spec = TenantSpec("acme", (KeyDigest(digest_of(b"k"), NOW_S + 60),), **more)
    written = {"list": [{"name": "acme", "keys": ["sha256:" + "0" * 64]}]}
    return Dispatcher(
        router_file({"bf16": 1, "fp8": 1}, classes=CLASSES, cap=1, tenants=written, router={"affinity": "none"}),
        tenants=[spec],
    )


def refusal(dispatcher: Dispatcher, facts: RequestFacts | None = None, now_s: float = NOW_S, **headers: str) -> Refusal:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    found = dispatcher.ask(dispatcher.hints(fields), facts or RequestFacts(valid=True), now_s)
    assert isinstance(found, Refusal), found
    return found


def counts(dispatcher: Dispatcher) -> dict[str, tuple[int, dict[str, int]]]:
    return {item.tenant: (item.requests, item.refused) for item in dispatcher.state(NOW_S).tenants}


def test_without_tenants_every_key_is_as_good_as_none() -> None:
    dispatcher = build()
    assert not dispatcher.has_tenants
    assert ask(dispatcher, x_api_key="anything").charge is None
    assert dispatcher.check_key(dispatcher.hints({}), NOW_S) is None
    assert dispatcher.state(NOW_S).tenants == []


def test_without_a_valid_key_nothing_is_served() -> None:
    dispatcher = tenants()
    assert ask(dispatcher, x_api_key="k").charge is not None
    assert refusal(dispatcher).reason == "no_api_key"
    assert refusal(dispatcher, x_api_key="wrong").reason == "invalid_api_key"
    assert refusal(dispatcher, x_api_key="wrong", x_wattroute_class="nonsense").status == 401
    late = refusal(dispatcher, now_s=NOW_S + 60, x_api_key="k")
    assert late == refusal(dispatcher, x_api_key="wrong")
    assert counts(dispatcher) == {"acme": (1, {}), "none": (0, {"no_api_key": 1, "invalid_api_key": 4})}


def test_a_section_without_any_tenant_read_lets_nobody_in() -> None:
    written = {"list": [{"name": "acme", "keys": ["sha256:" + "0" * 64]}]}
    dispatcher = Dispatcher(router_file({"bf16": 1}, tenants=written))
    assert refusal(dispatcher, x_api_key="k").status == 401


@pytest.mark.parametrize(("key", "after_s", "status"), [("k", 0, None), ("k", 60, 401), ("x", 0, 401), ("", 0, 401)])
def test_what_the_router_answers_itself_needs_a_key_too(key: str, after_s: float, status: int | None) -> None:
    dispatcher = tenants()
    found = dispatcher.check_key(dispatcher.hints({b"api-key": key.encode()}), NOW_S + after_s)
    assert (found and found.status) == status
    assert ("none" in counts(dispatcher)) is (status is not None)


def test_a_head_with_a_key_and_another_fault_is_answered_where_that_fault_matters() -> None:
    dispatcher = tenants()
    hints = dispatcher.hints({b"api-key": b"k", b"x-wattroute-class": b"nonsense"})
    assert dispatcher.check_key(hints, NOW_S) is None
    assert refusal(dispatcher, api_key="k", x_wattroute_class="nonsense").reason == "unknown_class"


def test_the_tenants_default_comes_before_the_routers() -> None:
    dispatcher = tenants(default_class="flex")
    assert ask(dispatcher, api_key="k").class_id == "flex"
    assert ask(dispatcher, RequestFacts(service_tier="auto", valid=True), api_key="k").class_id == "flex"
    assert ask(dispatcher, api_key="k", x_wattroute_class="standard").class_id == "standard"


@pytest.mark.parametrize(
    ("headers", "facts"),
    [
        ({"x_wattroute_class": "standard"}, RequestFacts()),
        ({"x_wattroute_precision": "bf16"}, RequestFacts()),
        ({}, RequestFacts(model="m@bf16", valid=True)),
    ],
)
def test_what_the_tenant_may_not_have_is_refused(headers: dict[str, str], facts: RequestFacts) -> None:
    dispatcher = tenants(default_class="flex", classes=("flex",), pin_precisions=(Precision.FP8,))
    found = refusal(dispatcher, facts, api_key="k", **headers)
    assert found.status == 403
    assert counts(dispatcher)["acme"] == (0, {found.reason: 1})
    assert ask(dispatcher, RequestFacts(service_tier="flex", valid=True), api_key="k", x_wattroute_precision="fp8")


def test_tokens_are_charged_for_input_and_expected_output() -> None:
    dispatcher = tenants(allowance=Allowance(tokens_per_minute=1000))
    charge = ask(dispatcher, RequestFacts(valid=True, body_bytes=400, max_tokens=30), api_key="k").charge
    assert charge is not None
    assert charge.tokens == 100 + 30
    assert b"x-ratelimit-remaining-tokens: 870\r\n" in charge.told_fields()
    no_body = ask(dispatcher, RequestFacts(), api_key="k").charge
    assert no_body is not None
    assert no_body.tokens == 0


def test_what_is_refused_after_it_was_admitted_tells_the_rates_and_ends_the_charge() -> None:
    dispatcher = tenants(allowance=Allowance(tokens_per_minute=1000, max_in_flight=1))
    request = ask(dispatcher, api_key="k")
    for instance in ("bf16-0", "fp8-0"):
        for _ in range(3):
            dispatcher.probed(InstanceId(instance), ok=False, load=None, now_s=NOW_S)
    found = dispatcher.choose(request, NOW_S)
    assert isinstance(found, Refusal)
    assert found.reason == "no_instance"
    assert b"x-ratelimit-remaining-tokens: 1000\r\n" in found.fields
    assert counts(dispatcher)["acme"] == (1, {"no_instance": 1})
    assert ask(dispatcher, api_key="k")


@pytest.mark.parametrize(
    ("outcome", "usage", "chunks", "used"),
    [
        (Outcome.OK, Usage(7, 3), 0, 10),
        (Outcome.OK, None, 5, 105),
        (Outcome.OK, None, 0, 100),
        (Outcome.CLIENT_ERROR, None, 0, 0),
        (Outcome.RESET, None, 0, 0),
        (Outcome.CLIENT_GONE, None, 4, 104),
        (Outcome.CLIENT_GONE, None, 0, 200),
    ],
)
def test_a_charge_is_corrected_to_what_the_request_was(
    outcome: Outcome, usage: Usage | None, chunks: int, used: int
) -> None:
    dispatcher = tenants(allowance=Allowance(tokens_per_minute=1000))
    request = ask(dispatcher, api_key="k")  # 400 bytes of a stream, 100 tokens expected
    choice = choose(dispatcher, request)
    dispatcher.release(choice, request, outcome, usage=usage, chunks=chunks, duration_s=1.0, now_s=NOW_S)
    assert request.charge is not None
    assert b"x-ratelimit-remaining-tokens: %d\r\n" % (1000 - used) in request.charge.told_fields()
