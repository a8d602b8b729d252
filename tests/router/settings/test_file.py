"""What the file as a whole accepts, and how plainly it refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from router.settings import RouterFile
from tests.fakes.settings_files import load, pool, refused


def test_one_pool_is_enough() -> None:
    settings = load()
    assert settings.classes[0].name == "standard"
    assert settings.pools[0].max_in_flight == 1024
    assert settings.table.url is None


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load().router.port = 1


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"pools": []}, "at least 1"),
        ({"pools": [pool(), pool(instances=["http://h:1"])]}, "'bf16' appears more than once"),
        ({"pools": [pool(), pool(name="fp8")]}, "'127.0.0.1:9001' appears more than once"),
        ({"pools": [pool(static_weight=0)]}, "static_weight 0"),
        ({"classes": [{"name": "a"}, {"name": "a"}]}, "'a' appears more than once"),
        ({"classes": [{"name": "a", "precisions": ["int4"]}]}, "no pool offers one of them"),
        (
            {"classes": [{"name": "a", "service_tiers": ["flex"]}, {"name": "b", "service_tiers": ["flex"]}]},
            "'flex' appears more than once",
        ),
        ({"default_class": "gold"}, "'gold' is not one of the classes"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(over: dict[str, Any], said: str) -> None:
    assert said in refused(**over)


def test_every_field_explains_itself() -> None:
    schema = RouterFile.model_json_schema()
    groups = [schema, *schema["$defs"].values()]
    bare = [
        f"{group['title']}.{name}"
        for group in groups
        for name, field in group.get("properties", {}).items()
        if "description" not in field and not _is_a_group(field, schema)
    ]
    assert not bare


def _is_a_group(field: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether a field is a section, which is explained by its class."""
    name = field.get("$ref", "").rpartition("/")[2]
    return "description" in schema["$defs"].get(name, {})
