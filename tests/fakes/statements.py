"""Counts how often cvxpy states a problem or canonicalises one: what a compiled problem saves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import cvxpy as cp
from cvxpy.reductions.chain import Chain


@dataclass
class Statements:
    """Problems built, and chains of reductions applied, since the count began."""

    built: int = 0
    canonicalised: int = 0


@contextmanager
def counted() -> Iterator[Statements]:
    """Count within a block, whatever is built or canonicalised by whomever."""
    seen = Statements()
    build, apply = cp.Problem.__init__, Chain.apply

    def building(self: Any, *arguments: Any, **named: Any) -> None:
        seen.built += 1
        build(self, *arguments, **named)

    def applying(self: Any, *arguments: Any, **named: Any) -> Any:
        seen.canonicalised += 1
        return apply(self, *arguments, **named)

    with patch.object(cp.Problem, "__init__", building), patch.object(Chain, "apply", applying):
        yield seen
