"""Inputs with which fuzzing has broken something: they stay tests for ever."""

from __future__ import annotations

FOUND: dict[str, tuple[bytes, ...]] = {}
