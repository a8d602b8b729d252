"""The section `tenants` of the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from router import config_file
from router.errors import SettingsError
from router.settings import RouterFile, TenantsSettings
from router.tenants.keys import digest_of, written

DIGEST = written(digest_of(b"k"))
SECRET = "sk-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA"
POOLS = "pools:\n- {name: bf16, precision: bf16, instances: ['http://127.0.0.1:9000']}\n"


def test_there_are_none_unless_written() -> None:
    assert config_file.parse(POOLS, RouterFile, "file").tenants is None


def test_a_digest_alone_is_a_key_without_an_end() -> None:
    found = TenantsSettings.model_validate({"list": [{"name": "acme", "keys": [DIGEST]}]})
    [key] = found.list[0].keys
    assert (key.digest, key.not_after) == (DIGEST, None)
    assert found.max_tenant_labels == 100


def test_a_section_that_names_nobody_is_refused() -> None:
    with pytest.raises(ValidationError, match="nobody could use the router"):
        TenantsSettings()
    assert TenantsSettings(tenants_file=Path("x")).list == ()


@pytest.mark.parametrize("keys", [f"['{SECRET}']", f"'{SECRET}'", f"[{{digest: '{SECRET}'}}]", f"{{a: '{SECRET}'}}"])
def test_a_key_written_by_mistake_is_not_shown(keys: str) -> None:
    text = f"{POOLS}tenants:\n  list:\n  - name: acme\n    keys: {keys}\n"
    with pytest.raises(SettingsError) as caught:
        config_file.parse(text, RouterFile, "file")
    assert "file:6: tenants.list.0.keys" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_settings_survive_the_way_to_a_worker() -> None:
    key = f"{{digest: '{DIGEST}', not_after: 2027-01-31T00:00:00Z}}"
    text = f"{POOLS}tenants:\n  list:\n  - name: acme\n    keys: [{key}]\n"
    found = config_file.parse(text, RouterFile, "file")
    assert RouterFile.model_validate_json(found.model_dump_json()) == found
