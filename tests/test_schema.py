"""The committed JSON Schema is the one the settings produce, and it accepts the examples."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from controller.settings.file import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
SCHEMA = DEPLOY / "wattroute.schema.json"


class _PlainTimes(yaml.SafeLoader):
    """Leaves time stamps as text, as JSON has them."""


_PlainTimes.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def test_the_committed_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text()) == Settings.model_json_schema(), "run: make schema"


@pytest.mark.parametrize("path", sorted((DEPLOY / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_fit_the_schema(path: Path) -> None:
    jsonschema.validate(yaml.load(path.read_text(), Loader=_PlainTimes), json.loads(SCHEMA.read_text()))


def test_the_schema_refuses_an_unknown_key() -> None:
    example = yaml.load((DEPLOY / "examples" / "laptop.yaml").read_text(), Loader=_PlainTimes)
    example["controler"] = {}
    with pytest.raises(jsonschema.ValidationError, match="controler"):
        jsonschema.validate(example, json.loads(SCHEMA.read_text()))
