"""Records passed between data path and decisions are values."""

from __future__ import annotations

import pytest

from router.contract import InstanceId, PoolId, Precision
from router.dispatch import Dispatcher
from router.exchange import InstanceSpec, Outcome, Refusal
from tests.fakes.routing import ask, choose, router_file


def test_records_cannot_be_changed() -> None:
    dispatcher = Dispatcher(router_file())
    request = ask(dispatcher)
    choice = choose(dispatcher, request)
    records = (
        (request, "class_id"),
        (choice, "spec"),
        (choice.spec, "address"),
        (dispatcher.hints({}), "class_id"),
        (Refusal(503, "no_instance", "none"), "status"),
    )
    for record, field in records:
        with pytest.raises(AttributeError):
            setattr(record, field, 1)


def test_outcomes_are_fit_for_labels() -> None:
    assert all(outcome.value.replace("_", "").isalpha() and outcome.value.islower() for outcome in Outcome)


@pytest.mark.parametrize(
    ("mine", "theirs", "may_be"),
    [
        (("a", True), ("a", True), True),
        (("a", True), ("b", True), False),
        (("a", True), ("bf16-0", False), True),
        (("bf16-0", False), ("a", True), True),
        (("bf16-0", False), ("bf16-1", False), True),
    ],
)
def test_two_given_names_at_one_address_are_two_engines(
    mine: tuple[str, bool], theirs: tuple[str, bool], may_be: bool
) -> None:
    one, other = (
        InstanceSpec(InstanceId(name), PoolId("bf16"), Precision.BF16, ("h", 1), "http://h:1", 4, is_named)
        for name, is_named in (mine, theirs)
    )
    assert one.may_be(other) is may_be
