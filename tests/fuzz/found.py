"""Inputs with which fuzzing has broken something: they stay tests for ever."""

from __future__ import annotations

FOUND: dict[str, tuple[bytes, ...]] = {
    "answers": (
        # A field named like an option of Connection, which the comparison itself took for one that ends at a proxy.
        b"HTTP/1.1 204 N\r\nclose: 0\r\n\r\n",
    ),
}
