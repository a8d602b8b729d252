import hashlib

import pytest

from controller.errors import StoreError
from controller.store.chain import GENESIS, TRIM_KIND, Checker, Row, chain, digest_of, link


def rows(*kinds, payload="{}"):
    made, previous = [], GENESIS
    for number, kind in enumerate(kinds, 1):
        previous = chain(previous, number, 1.5, kind, payload)
        made.append(Row(number, 1.5, kind, payload, previous))
    return made


def test_the_rule_is_the_one_that_is_told():
    digest = hashlib.sha256(b'[1,1.5,"sample","{}"]').hexdigest()
    assert digest_of(1, 1.5, "sample", "{}") == digest
    assert link(GENESIS, digest) == hashlib.sha256((GENESIS + digest).encode()).hexdigest()
    assert chain(GENESIS, 1, 1.5, "sample", "{}") == link(GENESIS, digest)


def test_rows_are_followed_in_their_order_only():
    first, second, third = rows("a", "b", "c")
    checker = Checker(0, GENESIS)
    for row in (first, second, third):
        checker.take(row)
    assert (checker.head().sequence, checker.head().hash, checker.head().checked) == (3, third.hash, 3)
    checker = Checker(0, GENESIS)
    checker.take(first)
    with pytest.raises(StoreError, match="row 2 is missing, 3 follows"):
        checker.take(third)


@pytest.mark.parametrize(
    "cells",
    [
        (1, 1, "a", "{}", "x"),
        (1, float("nan"), "a", "{}", "x"),
        (1, 1.0, b"a", "{}", "x"),
        (1, 1.0, "a", b"{}", "x"),
        (1, 1.0, "a", None, "x"),
        ("1", 1.0, "a", "{}", "x"),
    ],
)
def test_a_row_of_other_cells_was_changed(cells):
    with pytest.raises(StoreError, match="was changed"):
        Row(*cells)


def test_what_retention_has_removed_must_have_been_told():
    kept = rows("a", "b", "c")[1:]
    checker = Checker(1, rows("a")[0].hash)
    for row in kept:
        checker.take(row)
    with pytest.raises(StoreError, match="rows up to 1 are gone"):
        checker.head()
    told = chain(kept[-1].hash, 4, 1.5, TRIM_KIND, '{"up_to":1}')
    checker.take(Row(4, 1.5, TRIM_KIND, '{"up_to":1}', told))
    assert checker.head().trimmed == 1
