import json

import pytest

from controller.errors import ConfigError, StoreError
from controller.store import witness
from controller.store.chain import Head
from controller.store.state import StateFile
from controller.store.witness import Heads, Witness, WitnessFile, is_sealed, metric_of, parse, witnessed

HEAD = Head(7, "ab" * 32)
KEY = b"0123456789abcdef"


def test_a_seal_holds_for_its_own_head_and_key_only():
    sealed = witnessed("ledger.sqlite", HEAD, 1.0, KEY)
    assert is_sealed(sealed, KEY)
    assert not is_sealed(sealed, b"another key of 16")
    assert not is_sealed(Witness("ledger.sqlite", 8, HEAD.hash, 1.0, sealed.mac), KEY)
    assert not is_sealed(Witness("evidence.sqlite", 7, HEAD.hash, 1.0, sealed.mac), KEY)
    assert not is_sealed(witnessed("ledger.sqlite", HEAD, 1.0, None), KEY)


def test_a_head_is_read_as_an_operator_writes_it():
    told = parse("7:ABABABABABAB", "x")
    assert (told.sequence, told.hash) == (7, "abababababab")
    assert told.fits(HEAD.hash)
    assert not told.fits("cd" * 32)


@pytest.mark.parametrize("told", ["7", "7:abc", "x:" + "ab" * 32, "7:" + "ab" * 33, "-1:" + "ab" * 32, ""])
def test_what_is_no_head_is_refused_with_the_remedy(told):
    with pytest.raises(ConfigError, match="SEQUENCE:HASH"):
        parse(told, "x")


def test_the_number_in_the_metric_tells_the_first_digits():
    assert f"{int(metric_of(HEAD.hash)):013x}" == HEAD.hash[:13]


def test_a_file_of_witnesses_survives_a_line_cut_short(tmp_path):
    file = WitnessFile(tmp_path / "elsewhere" / "heads.jsonl")
    file.append(witnessed("ledger.sqlite", HEAD, 1.0, KEY))
    with file.path.open("ab") as raw:
        raw.write(b'{"ledger":"led')
    file.append(witnessed("ledger.sqlite", Head(9, "cd" * 32), 2.0, None))
    told = witness.of_file(file.path)
    assert [each.sequence for each in told.witnesses] == [7, 9]
    assert told.unreadable == 1
    assert told.witnesses[0].told_by == str(file.path)
    assert is_sealed(told.witnesses[0], KEY)
    assert witness.of_file(tmp_path / "absent").witnesses == ()


def test_a_file_of_witnesses_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="witness not written"):
        WitnessFile(tmp_path / "file" / "heads").append(witnessed("x", HEAD, 1.0, None))


def test_heads_come_back_from_the_state_file(tmp_path):
    path = tmp_path / "state.json"
    assert witness.of_state(path) == ()
    StateFile(path).save(heads=Heads((witnessed("ledger.sqlite", HEAD, 1.0, None),)))
    (found,) = witness.of_state(path)
    assert (found.ledger, found.sequence, found.hash, found.told_by) == ("ledger.sqlite", 7, HEAD.hash, str(path))
    document = json.loads(path.read_text())
    document["state"]["heads"]["witnesses"][0]["sequence"] = 6
    path.write_text(json.dumps(document))
    with pytest.raises(StoreError, match="changed or damaged"):
        witness.of_state(path)


def test_a_key_comes_from_a_file_and_is_long_enough(tmp_path):
    path = tmp_path / "key"
    assert witness.read_key(None) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        witness.read_key(path)
    path.write_text("short\n")
    with pytest.raises(ConfigError, match="openssl rand"):
        witness.read_key(path)
    path.write_bytes(KEY + b"\n")
    assert witness.read_key(path) == KEY
