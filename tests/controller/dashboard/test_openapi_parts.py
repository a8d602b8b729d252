import jsonschema
import pytest

from controller.dashboard.openapi_parts import (
    NUMBER,
    TEXT,
    Operation,
    answer_of,
    nullable,
    number,
    one_of,
    ref,
    request_of,
    text,
)


def is_valid(value, schema):
    return jsonschema.Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("schema", [NUMBER, one_of("a"), answer_of({"x": TEXT}), number(0, 1)])
def test_null_is_allowed_where_it_is_said_and_nowhere_else(schema):
    assert is_valid(None, nullable(schema))
    assert not is_valid(None, schema)
    assert not is_valid([], nullable(schema))


def test_bounds_hold():
    assert [is_valid(value, number(0, 5)) for value in (-1, 0, 5, 6)] == [False, True, True, False]
    assert [is_valid(value, text(3)) for value in ("", "abc", "abcd")] == [False, True, False]


def test_what_is_sent_has_no_other_keys_and_what_is_answered_may_gain_some():
    body = {"x": "a", "y": 1}
    assert is_valid(body, answer_of({"x": TEXT}))
    assert not is_valid(body, request_of({"x": TEXT}))
    assert not is_valid({}, answer_of({"x": TEXT}))


def test_an_operation_tells_its_parameters_its_body_and_who_may_use_it():
    operation = Operation(
        "change", "tag", "Change it", {200: ("done", ref("X"))}, (404,), ({}, {"a": 1}), headers={"If-Match": "a tag"}
    )
    told = operation.document(("name",), changes=True)
    assert [(each["name"], each["in"], each["required"]) for each in told["parameters"]] == [
        ("name", "path", True),
        ("If-Match", "header", False),
    ]
    assert list(told["responses"]) == ["200", "401", "403", "404"]
    assert told["requestBody"]["content"]["application/json"]["example"] == {"a": 1}
    assert told["security"] == [{"bearer": []}, {}]
    assert "security" not in operation.document((), changes=False)
