import json

import jsonschema
import pytest

from controller.dashboard.capability_json import capability_json
from controller.dashboard.openapi_capability import CAPABILITY_SCHEMAS
from controller.model.derate import Derate
from tests.fakes.capabilities import told
from tests.fakes.controller_parts import NOW_S


def checked(name, body):
    document = {**CAPABILITY_SCHEMAS[name], "components": {"schemas": CAPABILITY_SCHEMAS}}
    jsonschema.validate(json.loads(json.dumps(body)), document)


@pytest.mark.parametrize("name", sorted(CAPABILITY_SCHEMAS))
def test_a_schema_is_one(name):
    jsonschema.Draft202012Validator.check_schema(CAPABILITY_SCHEMAS[name])


def test_what_is_told_fits_with_and_without_a_derate():
    checked("Capability", capability_json(None))
    checked("Capability", capability_json(told()))
    derate = Derate("fans", 500.0, NOW_S, NOW_S + 900, "a fan is out", NOW_S)
    checked("Capability", capability_json(told().derated((derate,), NOW_S)))


def test_a_request_has_a_reason_and_no_other_keys():
    checked("DerateRequest", {"shed_w": 0, "duration_s": 60, "reason": "x"})
    for wrong in ({"shed_w": 0, "duration_s": 60}, {"shed_w": 0, "duration_s": 60, "reason": "x", "shed_kw": 1}):
        with pytest.raises(jsonschema.ValidationError):
            checked("DerateRequest", wrong)
