import contextlib

import pytest

from controller.store.meter_file import TABLES
from controller.store.sqlite_file import open_tables


@pytest.fixture
def db(tmp_path):
    """The file of a meter store, opened."""
    with contextlib.closing(open_tables(tmp_path / "meter.sqlite", TABLES)) as opened:
        yield opened
