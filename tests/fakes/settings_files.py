"""Configuration files as mappings: the smallest that is valid, with what a test writes over it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from router.settings import RouterFile


def pool(**over: Any) -> dict[str, Any]:
    """A pool of one instance."""
    return {"name": "bf16", "precision": "bf16", "instances": ["http://127.0.0.1:9001"], **over}


def load(**over: Any) -> RouterFile:
    """The settings of a file with one pool and these sections."""
    return RouterFile.model_validate({"pools": [pool()], **over})


def refused(**over: Any) -> str:
    """What is said of a file that must be refused."""
    with pytest.raises(ValidationError, match="validation error") as caught:
        load(**over)
    return str(caught.value)
