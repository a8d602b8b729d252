"""Merge patches. Pure; neither the object nor the patch is changed."""

from __future__ import annotations

import copy
from typing import Any

MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "volumes": "name",
}
"""Lists that a strategic patch merges by the value of a key; others it replaces, as a merge patch does all."""


def merge_patch(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_patch(old: Any, patch: Any, key: str = "") -> Any:
    """A merge patch in which lists of `MERGE_KEYS` are merged by element, and ``$patch: delete`` removes one."""
    if isinstance(patch, list) and key in MERGE_KEYS and isinstance(old, list):
        return _merge_lists(old, patch, MERGE_KEYS[key])
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = copy.deepcopy(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = strategic_patch(merged.get(name), value, name)
    return merged


def _merge_lists(old: list[Any], patch: list[Any], by: str) -> list[Any]:
    merged = {item[by]: copy.deepcopy(item) for item in old}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item[by], None)
        else:
            merged[item[by]] = strategic_patch(merged.get(item[by]), item)
    return list(merged.values())
