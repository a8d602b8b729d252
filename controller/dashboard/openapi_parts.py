"""The pieces that an OpenAPI document is put together from; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
NUMBER: Json = {"type": "number"}
TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
COUNT: Json = {"type": "integer", "minimum": 0}
ANY: Json = {}
WALL_S: Json = {**NUMBER, "description": "wall clock, seconds since 1970-01-01T00:00:00Z"}
TIME: Json = {**TEXT, "description": "ISO 8601 with its offset, e.g. 2026-07-14T17:00:00Z"}
ID: Json = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}


def nullable(schema: Json) -> Json:
    """The same or null, which is "not known" or "none", never zero."""
    if "type" in schema and isinstance(schema["type"], str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"oneOf": [schema, {"type": "null"}]}


def told(schema: Json, text: str) -> Json:
    """The same with what it means."""
    return {**schema, "description": text}


def one_of(*values: str) -> Json:
    """A text out of a closed set."""
    return {"type": "string", "enum": list(values)}


def number(least: float, most: float, text: str = "") -> Json:
    """A number within bounds."""
    bounded = {"type": "number", "minimum": least, "maximum": most}
    return told(bounded, text) if text else bounded


def text(most: int, meaning: str = "", least: int = 1) -> Json:
    """A text of bounded length."""
    bounded = {"type": "string", "minLength": least, "maxLength": most}
    return told(bounded, meaning) if meaning else bounded


def list_of(schema: Json, **bounds: int) -> Json:
    """A list."""
    return {"type": "array", "items": schema, **bounds}


def ref(name: str) -> Json:
    """A schema of the document by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer_of(required: Mapping[str, Json], more: Mapping[str, Json] | None = None) -> Json:
    """An object that is answered: later versions may add keys."""
    return {"type": "object", "properties": {**required, **(more or {})}, "required": sorted(required)}


def request_of(required: Mapping[str, Json], more: Mapping[str, Json] | None = None) -> Json:
    """An object that is sent: unknown keys are refused."""
    return {**answer_of(required, more), "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a path.

    Attributes:
        answers: by status: what it means, and its schema; None for an answer without a body.
        refusals: statuses that are answered with an error.
        body: schema and example of what is sent.
        body_is_needed: whether it may not be left out.
        media: type of the answer's body.
        headers: names and meanings of headers that may be sent.
        queries: likewise of query parameters.
    """

    name: str
    tag: str
    summary: str
    answers: Mapping[int, tuple[str, Json | None]]
    refusals: tuple[int, ...] = ()
    body: tuple[Json, Any] | None = None
    body_is_needed: bool = True
    media: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    queries: Mapping[str, str] = field(default_factory=dict)

    def document(self, path_names: tuple[str, ...], *, changes: bool) -> Json:
        """The same as OpenAPI has it.

        Args:
            path_names: parameters of the path.
            changes: whether it changes something, which not everybody may.
        """
        refusals = (*self.refusals, 401, 403) if changes else self.refusals
        responses: Json = {str(status): self._answer(*answer) for status, answer in self.answers.items()}
        responses |= {str(status): {"$ref": "#/components/responses/Error"} for status in refusals}
        out: Json = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": dict(sorted(responses.items())),
        }
        parameters = [_parameter(name, "path", "", is_needed=True) for name in path_names]
        parameters += [_parameter(name, "header", meaning) for name, meaning in self.headers.items()]
        parameters += [_parameter(name, "query", meaning) for name, meaning in self.queries.items()]
        if parameters:
            out["parameters"] = parameters
        if self.body is not None:
            schema, example = self.body
            content = {"application/json": {"schema": schema, "example": example}}
            out["requestBody"] = {"required": self.body_is_needed, "content": content}
        if changes:
            out["security"] = [{"bearer": []}, {}]
        return out

    def _answer(self, meaning: str, schema: Json | None) -> Json:
        if schema is None:
            return {"description": meaning}
        return {"description": meaning, "content": {self.media: {"schema": schema}}}


def _parameter(name: str, place: str, meaning: str, *, is_needed: bool = False) -> Json:
    out: Json = {"name": name, "in": place, "required": is_needed, "schema": TEXT}
    return {**out, "description": meaning} if meaning else out
