"""Who wrote which field: metadata.managedFields, as updates and patches leave it. Lists are owned whole. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

_UNOWNED = {"apiVersion", "kind", "status"}
_OWNED_METADATA = {"annotations", "finalizers", "labels", "ownerReferences"}

Path = tuple[str, ...]


class Writer(NamedTuple):
    """Who writes, and through which subresource ("" for the object itself)."""

    manager: str
    subresource: str = ""


def leaves(found: Any, above: Path = ()) -> dict[Path, Any]:
    """Value of each leaf by its path."""
    if not isinstance(found, dict) or not found:
        return {above: found} if above else {}
    return {path: leaf for key, value in found.items() for path, leaf in leaves(value, (*above, key)).items()}


def managed_after(
    old: dict[str, Any] | None, new: dict[str, Any], writer: Writer, *, api_version: str, now: str
) -> list[dict[str, Any]]:
    """The entries after `writer` made `new` out of `old`: what changed is the writer's, and nobody else's."""
    before, after = _owned(old or {}, writer), _owned(new, writer)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = before.keys() - after.keys()
    entries: list[dict[str, Any]] = []
    mine: set[Path] = set()
    for entry in (old or {}).get("metadata", {}).get("managedFields", []):
        kept = {path for path in _paths(entry["fieldsV1"]) if path not in gone}
        if (entry["manager"], entry.get("subresource", "")) == writer and entry["operation"] == "Update":
            mine = kept
            continue
        if kept := kept - changed:
            entries.append({**entry, "fieldsV1": _tree(kept)})
    if changed or mine:
        entries.append(_entry(writer, mine | changed, api_version, now))
    return entries


def _owned(found: dict[str, Any], writer: Writer) -> dict[Path, Any]:
    parts = {key: value for key, value in found.items() if key not in _UNOWNED and key != "metadata"}
    if writer.subresource == "status":
        parts = {"status": found.get("status", {})}
    kept = {key: value for key, value in found.get("metadata", {}).items() if key in _OWNED_METADATA}
    return leaves({**parts, "metadata": kept})


def _entry(writer: Writer, paths: set[Path], api_version: str, now: str) -> dict[str, Any]:
    entry = {
        "manager": writer.manager,
        "operation": "Update",
        "apiVersion": api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(paths),
    }
    return entry | ({"subresource": writer.subresource} if writer.subresource else {})


def _tree(paths: set[Path]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for key in path:
            node = node.setdefault(f"f:{key}", {})
    return tree


def _paths(tree: dict[str, Any], above: Path = ()) -> set[Path]:
    if not tree:
        return {above} if above else set()
    return {path for key, value in tree.items() for path in _paths(value, (*above, key.removeprefix("f:")))}
