"""Configuration files of a controller as text: the smallest that is valid, and what is said of one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.settings.file import load

MINIMAL = "pools: [{name: bf16, precision: bf16, instances: ['http://127.0.0.1:9001']}]\n"
PLAN = "plan: {pools: {bf16: {gpu: H100, gpus_per_instance: 2, curves: x%s}}}\n"
"""A plan for that pool; `%s` is for what else it says."""


def write(tmp_path: Path, text: str) -> Path:
    """A file with this text."""
    path = tmp_path / "wattroute.yaml"
    path.write_text(text)
    return path


def refusal(tmp_path: Path, text: str) -> str:
    """What is said of a file that must be refused."""
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    return str(caught.value)
