import zlib

import pytest

from router import contract_presence
from router.contract_presence import Heard, decode_heard, decode_routers, encode_heard, pack_state, unpack_state

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize("identity", ["", "0123456789ab"])
@pytest.mark.parametrize("interval_s", [0.0, 0.05, 1.0, 86_400.0])
def test_what_is_told_is_read_back(identity, interval_s):
    heard = Heard(NOW_S + 0.125, 42, 7, identity, interval_s)
    assert decode_heard(encode_heard(heard)) == heard


@pytest.mark.parametrize(
    "data", [b"", b"x", b"1.0", b"1.0 1", b"1.0 -1 1", b"nan 1 1", b"inf 1 1", b"1.0 1.5 1", b"1.0 1 1.5", b"1e12 1 1"]
)
def test_what_no_router_writes_is_left_out(data):
    assert decode_heard(data) is None


def test_older_and_newer_versions_are_understood() -> None:
    assert decode_heard(b"1.0 2 7") == Heard(1.0, 2, 7, "")
    assert decode_heard(b"1.0 2 7 0123456789ab") == Heard(1.0, 2, 7, "0123456789ab")
    newer = b"1.0 2 7 0123456789ab 2.5 and more than this one knows " + b"x" * 500
    assert decode_heard(newer) == Heard(1.0, 2, 7, "0123456789ab", 2.5)


@pytest.mark.parametrize("interval", [b"0", b"-1", b"nan", b"inf", b"1e9", b"often"])
def test_an_interval_that_no_setting_allows_is_not_known(interval):
    assert decode_heard(b"1.0 2 7 a " + interval) == Heard(1.0, 2, 7, "a", 0.0)


def test_what_older_versions_read_of_it_comes_first() -> None:
    told = encode_heard(Heard(NOW_S, 4096, 1 << 40, "0123456789ab"))
    assert told[:64].split()[:3] == [b"1700000000.000", b"4096", b"1099511627776"]


def test_routers_are_told_by_name_and_what_no_router_writes_is_left_out() -> None:
    entries = {b"a": b"1.0 2 7", "b": "3.0 4 -1", b"c": b"nonsense", b"\xff": b"5.0 6 0"}
    assert decode_routers(entries) == {"a": Heard(1.0, 2, 7), "b": Heard(3.0, 4), "\ufffd": Heard(5.0, 6, 0)}


def test_a_state_is_unpacked_as_it_was_packed() -> None:
    assert unpack_state(pack_state(b'{"now_s": 1.0}')) == b'{"now_s": 1.0}'


def test_a_state_that_no_router_packed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pack_state(bytes(1000))
    for data in (b"", b"{}", whole[:-6]):
        with pytest.raises(ValueError, match=r"not compressed|cut short"):
            unpack_state(data)
    monkeypatch.setattr(contract_presence, "MAX_STATE_BYTES", 999)
    with pytest.raises(ValueError, match="more than 999 bytes"):
        unpack_state(zlib.compress(bytes(1 << 20)))
