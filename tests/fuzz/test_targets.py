from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, check_chunks, check_requests
from tests.smuggling.requests import get


@pytest.mark.parametrize(("name", "check"), TARGETS.items(), ids=TARGETS.keys())
def test_every_seed_and_everything_found(name: str, check: Callable[[bytes], None]) -> None:
    for seed in seeds(name):
        check(seed)


@pytest.mark.parametrize(("name", "check"), TARGETS.items(), ids=TARGETS.keys())
@given(data=st.data())
@settings(max_examples=100)
def test_seeds_with_bytes_put_in(name: str, check: Callable[[bytes], None], data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(sorted(seeds(name))))
    at = data.draw(st.integers(0, len(seed)))
    gone = data.draw(st.integers(0, 3))
    check(seed[:at] + data.draw(st.binary(max_size=4)) + seed[at + gone :])


def test_lines_of_one_name_keep_their_order() -> None:
    check_requests(get(b"tracestate: a", b"TRACESTATE: b"))


def test_a_target_fails_where_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.targets.decode", lambda pieces: (b"", b"", True))
    with pytest.raises(AssertionError):
        check_chunks(b"5\r\nhello\r\n0\r\n\r\n")
