"""Records passed between data path and decisions are values."""

from __future__ import annotations

import pytest

from router.dispatch import Dispatcher
from router.exchange import Outcome, Refusal
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
