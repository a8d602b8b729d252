"""From head and body to an accepted request, the short way and the long way alike."""

from __future__ import annotations

from typing import Any

import pytest

from router.affinity import position_of
from router.dispatch import Dispatcher
from router.exchange import Ask
from router.openai import RequestFacts
from tests.fakes.routing import NOW_S, ask, router_file

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
