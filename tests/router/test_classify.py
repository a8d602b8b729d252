"""Class, pin and session of a request, and the refusals that name what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from router.classify import Classifier
from router.contract import Precision
from router.exchange import Hints, Refusal
from router.openai import RequestFacts
from router.settings import ClassSettings
from tests.fakes.routing import router_file

CLASSES: list[dict[str, Any]] = [
    {"name": "premium", "precisions": ["bf16"], "service_tiers": ["priority"]},
    {"name": "standard"},
    {"name": "flex", "service_tiers": ["flex"], "pin_allowed": False},
]


def classifier(**sections: Any) -> Classifier:
    return Classifier(router_file({"bf16": 1, "fp8": 1}, classes=CLASSES, default_class="standard", **sections))


def fields(**values: str) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value.encode() for name, value in values.items()}


def hints(**values: str) -> Hints:
    found = classifier().hints(fields(**values))
    assert isinstance(found, Hints), found
    return found


def refused(**values: str) -> Refusal:
    found = classifier().hints(fields(**values))
    assert isinstance(found, Refusal), found
    return found


def class_of(facts: RequestFacts | None = None, **values: str) -> str:
    return classifier().class_of(hints(**values), facts or RequestFacts()).name


def test_the_header_comes_before_the_service_tier_and_that_before_the_default() -> None:
    flex = RequestFacts(service_tier="flex")
    assert class_of(flex, x_wattroute_class="premium") == "premium"
    assert class_of(flex) == "flex"
    assert class_of() == "standard"


@pytest.mark.parametrize("tier", ["auto", "default", "scale", ""])
def test_a_service_tier_of_no_class_means_the_default(tier: str) -> None:
    assert class_of(RequestFacts(service_tier=tier)) == "standard"


def test_without_a_default_the_first_class_is_it() -> None:
    found = Classifier(router_file(classes=[{"name": "a"}, {"name": "b"}])).class_of(Hints(), RequestFacts())
    assert found.name == "a"


def test_spaces_around_a_header_do_not_matter_and_an_empty_one_says_nothing() -> None:
    assert class_of(x_wattroute_class=" premium ") == "premium"
    assert class_of(x_wattroute_class="  ") == "standard"


def test_an_unknown_class_is_refused_with_those_there_are() -> None:
    refusal = refused(x_wattroute_class="gold" * 100)
    assert (refusal.status, refusal.reason) == (400, "unknown_class")
    assert "use one of: premium, standard, flex" in refusal.message
    assert len(refusal.message) < 200


@pytest.mark.parametrize(
    ("model", "pin", "engine_model"),
    [
        ("qwen@bf16", Precision.BF16, "qwen"),
        ("org/qwen@FP8", Precision.FP8, "org/qwen"),
        ("a@b@int4", Precision.INT4, "a@b"),
        ("qwen", None, None),
        ("qwen@v2", None, None),
        ("@bf16", None, None),
        (None, None, None),
    ],
)
def test_a_pin_in_the_models_name(model: str | None, pin: Precision | None, engine_model: str | None) -> None:
    assert classifier().pin_of(Hints(), RequestFacts(model=model)) == (pin, engine_model)


def test_the_configured_model_is_no_pin_even_if_it_looks_like_one() -> None:
    some = classifier(model="qwen@fp8")
    assert some.pin_of(Hints(), RequestFacts(model="qwen@fp8")) == (None, None)
    assert some.pin_of(Hints(), RequestFacts(model="qwen@fp8@bf16")) == (Precision.BF16, "qwen@fp8")


def test_a_pin_in_the_header() -> None:
    assert classifier().pin_of(hints(x_wattroute_precision="FP8"), RequestFacts(model="m")) == (Precision.FP8, None)


def test_two_pins_must_agree() -> None:
    facts = RequestFacts(model="m@fp8")
    assert classifier().pin_of(hints(x_wattroute_precision="fp8"), facts) == (Precision.FP8, "m")
    refusal = classifier().pin_of(hints(x_wattroute_precision="bf16"), facts)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    assert "fp8" in refusal.message
    assert "bf16" in refusal.message


def test_an_unknown_precision_is_refused() -> None:
    refusal = refused(x_wattroute_precision="fp4")
    assert (refusal.status, refusal.reason) == (400, "unknown_precision")
    assert "'fp4'" in refusal.message
    assert "bf16, fp8, int8, int4" in refusal.message


@pytest.mark.parametrize(
    ("class_name", "pin", "status", "reason"),
    [
        ("flex", "bf16", 403, "pin_not_allowed"),
        ("premium", "fp8", 403, "precision_not_allowed"),
        ("standard", "int4", 400, "precision_not_offered"),
    ],
)
def test_a_pin_that_cannot_be_had_is_refused(class_name: str, pin: str, status: int, reason: str) -> None:
    some = classifier()
    cls = some.class_of(hints(x_wattroute_class=class_name), RequestFacts())
    refusal = some.check_pin(cls, Precision(pin))
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (status, reason)
    assert pin in refusal.message


def test_a_pin_that_can_be_had_is_not_refused() -> None:
    some = classifier()
    assert some.check_pin(ClassSettings(name="standard"), Precision.FP8) is None


def test_the_session_is_read_from_the_header() -> None:
    assert hints(x_session_id=" s1 ").session_key == "s1"
    assert hints(x_session_id="").session_key is None
    assert hints() == Hints()


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert isinstance(classifier().hints({b"x-wattroute-class": b"\xff\xfe"}), Refusal)
    assert classifier().hints({b"x-session-id": b"\xff\xfe"}) == Hints(session_key="\xff\xfe")
