"""Reading tenants from the configuration and from the tenants' own file.

What may be a key is never shown: errors name file, line and setting, but no value.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from router import config_file
from router.contract import ClassId
from router.errors import SettingsError
from router.settings import RouterFile, TenantSettings
from router.settings.tenants import MAX_TENANTS, KeySettings
from router.tenants.keys import KeyDigest, read_digest
from router.tenants.limits import Allowance
from router.tenants.tenant import TenantSpec
from router.yaml_document import YamlDocument

MAX_FILE_BYTES = 32 << 20
MAX_SHOWN = 20
_SETTINGS = (*TenantSettings.model_fields, *KeySettings.model_fields)
_LIKE_A_SETTING = re.compile(r"[a-z_]{1,24}")


def read_tenants(settings: RouterFile) -> tuple[TenantSpec, ...]:
    """Every tenant: those of the configuration, then those of the tenants' file.

    Raises:
        SettingsError: the file is absent, unreadable or wrong; a tenant or a key appears twice; a class is unknown.
    """
    section = settings.tenants
    if section is None:
        return ()
    found = [("tenants.list", spec_of(tenant)) for tenant in section.list]
    if section.tenants_file is not None:
        found += _read_file(section.tenants_file)
    _check_together(found, frozenset(cls.name for cls in settings.classes))
    return tuple(spec for _, spec in found)


def secret_files(settings: RouterFile) -> tuple[Path, ...]:
    """Files that hold tenants and keys of engines: what they say may change while the settings stay as they are."""
    section = settings.tenants
    tenants = () if section is None or section.tenants_file is None else (section.tenants_file,)
    keys = (pool.engine_key_file for pool in settings.pools)
    return (*tenants, *(path for path in keys if path is not None))


def spec_of(tenant: TenantSettings) -> TenantSpec:
    """A tenant's settings in the form that is kept: an eighth of the memory."""
    return TenantSpec(
        name=tenant.name,
        keys=tuple(
            KeyDigest(read_digest(key.digest), math.inf if key.not_after is None else key.not_after.timestamp())
            for key in tenant.keys
        ),
        default_class=None if tenant.default_class is None else ClassId(tenant.default_class),
        classes=tuple(map(ClassId, tenant.classes)),
        pin_allowed=tenant.pin_allowed,
        pin_precisions=tenant.pin_precisions,
        allowance=Allowance(
            requests_per_minute=tenant.requests_per_minute,
            burst=tenant.burst,
            tokens_per_minute=tenant.tokens_per_minute,
            max_in_flight=tenant.max_in_flight,
        ),
    )


def _read_file(path: Path) -> list[tuple[str, TenantSpec]]:
    text = config_file.read(path, name="tenants'", max_bytes=MAX_FILE_BYTES)
    entries = _json_lines(text, path) if text.lstrip()[:1] == "{" else _yaml_list(text, path)
    found: list[tuple[str, TenantSpec]] = []
    faults: list[str] = []
    for line, entry in entries:
        try:
            if isinstance(entry, str):
                tenant = TenantSettings.model_validate_json(entry)
            else:
                tenant = TenantSettings.model_validate(entry)
        except ValidationError as error:
            faults += _faults(error, f"{path}:{line}")
            if len(faults) >= MAX_SHOWN:
                break
        else:
            found.append((f"{path}:{line}", spec_of(tenant)))
    if faults:
        raise SettingsError("\n".join(faults[:MAX_SHOWN]))
    if not found:
        raise SettingsError(f"{path}: names no tenant, so that nobody could use the router")
    return found


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _yaml_list(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    document = YamlDocument(text, str(path), is_secret=True)
    if not isinstance(document.root, yaml.SequenceNode):
        raise SettingsError(f"{path}: a YAML list of tenants is expected, or one JSON object a line")
    for item in document.root.value:
        yield item.start_mark.line + 1, document.value(item)


def _faults(error: ValidationError, where: str) -> list[str]:
    found = []
    for detail in config_file.causes(error.errors(include_url=False, include_context=False, include_input=False)):
        *parents, last = map(str, detail["loc"] or ("tenant",))
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(last, _SETTINGS, n=1, cutoff=0.5)
            message = f"unknown; did you mean {near[0]!r}?" if near else f"unknown; there are: {', '.join(_SETTINGS)}"
            # Who writes KEY: TENANT has a key where a setting is expected.
            last = last if _LIKE_A_SETTING.fullmatch(last) else "(not shown)"
        found.append(f"{where}: {'.'.join((*parents, last))}: {message}")
    return found


def _check_together(found: list[tuple[str, TenantSpec]], classes: frozenset[str]) -> None:
    """What no tenant by itself shows: names and keys are one tenant's, and classes exist."""
    if len(found) > MAX_TENANTS:
        remedy = "give those that share their limits one name, or divide them among several routers"
        where, _ = found[MAX_TENANTS]
        raise SettingsError(f"{where}: there are {len(found)} tenants, {MAX_TENANTS} are the most; {remedy}")
    names: dict[str, str] = {}
    keys: dict[bytes, str] = {}
    for where, spec in found:
        if spec.name in names:
            raise SettingsError(f"{where}: tenant {spec.name!r} appears a second time, first at {names[spec.name]}")
        names[spec.name] = where
        for key in spec.keys:
            if key.digest in keys:
                raise SettingsError(f"{where}: tenant {spec.name!r} has a key of tenant {keys[key.digest]!r}, too")
            keys[key.digest] = spec.name
        for name in (*spec.classes, *([spec.default_class] if spec.default_class else [])):
            if name not in classes:
                known = ", ".join(sorted(classes))
                raise SettingsError(f"{where}: tenant {spec.name!r} names class {name!r}; use one of: {known}")
