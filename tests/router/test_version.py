"""The version in the code is the one the package is installed with."""

from __future__ import annotations

import importlib.metadata

from router.version import VERSION


def test_the_package_has_this_version() -> None:
    assert importlib.metadata.version("wattroute") == VERSION
