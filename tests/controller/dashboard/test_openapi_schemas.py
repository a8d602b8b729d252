import json
import re

import jsonschema
import pytest

from controller.dashboard.openapi_schemas import SCHEMAS


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_every_schema_that_is_named_is_there():
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(SCHEMAS)))
    assert named <= set(SCHEMAS)
