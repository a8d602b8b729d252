"""Which paths of an engine are for its operator only, and therefore never reachable through the public port."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

VERBS = frozenset(
    {
        "abort_requests",
        "collective_rpc",
        "fault_tolerance",
        "flush_cache",
        "get_world_size",
        "is_paused",
        "is_sleeping",
        "kv_event_sources",
        "load_lora_adapter",
        "metrics",
        "pause",
        "resume",
        "server_info",
        "shutdown",
        "sleep",
        "unload_lora_adapter",
        "wake_up",
        "weight_checker",
        "weight_info",
    }
)
"""Segments of a path that give it away as an operator's. vLLM 0.32 mounts them at the root, some under /v1 and
/inference/v1, all of them below its --root-path where one is set; so a segment counts wherever it stands."""

PREFIXES = (
    "finish_weight_",
    "init_",
    "is_scaling",
    "release_",
    "reset_",
    "scale_elastic",
    "shutdown_",
    "start_",
    "stop_",
    "update_",
)
"""Beginnings of such segments."""

_DECODINGS = 4


def segments(target: bytes) -> list[str]:
    """Path of a request target as the most lenient server could read it.

    Percent signs are decoded until nothing changes, backslashes taken for slashes, path parameters and control
    characters dropped, ``.`` and ``..`` and empty segments resolved, case ignored.
    """
    raw = target.partition(b"?")[0].partition(b"#")[0]
    for _ in range(_DECODINGS):
        decoded = unquote_to_bytes(raw)
        if decoded == raw:
            break
        raw = decoded
    text = raw.decode("utf-8", "replace").replace("\\", "/")
    resolved: list[str] = []
    for part in text.split("/"):
        name = "".join(char for char in part.partition(";")[0] if char.isprintable()).strip().casefold()
        if name == "..":
            if resolved:
                resolved.pop()
        elif name not in ("", "."):
            resolved.append(name)
    return resolved


def has_engine_verb(path: Iterable[str]) -> bool:
    """Whether the segments of a request's path reach for one of the engine's operator verbs."""
    return any(part in VERBS or part.startswith(PREFIXES) for part in path)
