import pytest

from controller.commands.ledger_command import evidence_file, safe_name, show_events, utc
from controller.errors import ConfigError
from controller.model.grid import FOREVER_S
from tests.fakes.controller_files import MINIMAL, write
from tests.fakes.played_event import START_S, Player


def test_without_a_file_it_says_who_makes_one(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        evidence_file(write(tmp_path, MINIMAL + f"controller: {{data_dir: {tmp_path}}}\n"), None)


def test_names_and_times_for_people():
    assert safe_name("../a b/c#1") == "_a_b_c_1"
    assert (utc(0.0), utc(None), utc(FOREVER_S)) == ("1970-01-01T00:00:00Z", "-", "no end")


def test_an_event_that_was_cancelled_before_it_began_is_listed_as_never_in_force(tmp_path, capsys):
    player = Player(tmp_path)
    player.call("cancelled", cancelled_s=START_S - 50)
    player.close()
    show_events(player.path, as_json=False)
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.split()[3:8] == [utc(START_S), "never", "in", "force", "cancelled"]
