import pytest

from controller.commands.ledger_command import evidence_file, safe_name, utc
from controller.errors import ConfigError
from controller.model.grid import FOREVER_S
from tests.fakes.controller_files import MINIMAL, write


def test_without_a_file_it_says_who_makes_one(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        evidence_file(write(tmp_path, MINIMAL + f"controller: {{data_dir: {tmp_path}}}\n"), None)


def test_names_and_times_for_people():
    assert safe_name("../a b/c#1") == "_a_b_c_1"
    assert (utc(0.0), utc(None), utc(FOREVER_S)) == ("1970-01-01T00:00:00Z", "-", "no end")
