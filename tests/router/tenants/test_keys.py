"""API keys: where they are carried, what is kept of them, and what becomes of them when the file changes."""

from __future__ import annotations

import hashlib
import math

import pytest

from router.tenants.keys import Key, KeyDigest, KnownKeys, digest_of, presented_key, read_digest, written

KEY = b"sk-0123456789abcdef0123456789abcdef"


def ring(**owners: bytes) -> KnownKeys[str]:
    found: KnownKeys[str] = KnownKeys()
    found.replace({owner: (KeyDigest(digest_of(key)),) for owner, key in owners.items()})
    return found


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({b"authorization": b"Bearer abc"}, b"abc"),
        ({b"authorization": b"bearer  abc "}, b"abc"),
        ({b"x-api-key": b"abc"}, b"abc"),
        ({b"api-key": b"abc"}, b"abc"),
        ({b"authorization": b"Bearer abc", b"x-api-key": b"def"}, b"abc"),
        ({b"authorization": b"Basic YTpi", b"x-api-key": b"def"}, b"def"),
        ({b"authorization": b"abc"}, None),
        ({b"authorization": b"Bearer "}, None),
        ({b"x-api-key": b""}, None),
        ({b"cookie": b"key=abc"}, None),
        ({}, None),
    ],
)
def test_where_a_request_carries_its_key(fields: dict[bytes, bytes], key: bytes | None) -> None:
    assert presented_key(fields) == key


def test_a_digest_is_written_and_read_as_it_stands_in_files() -> None:
    text = written(digest_of(KEY))
    assert text == "sha256:" + hashlib.sha256(KEY).hexdigest()
    assert read_digest(text) == digest_of(KEY)
    assert read_digest("sha256:" + "AB" * 32) == b"\xab" * 32


@pytest.mark.parametrize(
    "text", ["", KEY.decode(), "sha256:", "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "g" * 64, "0" * 64]
)
def test_what_is_no_digest_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="hash-key") as caught:
        read_digest(text)
    assert len(text) < 10 or text not in str(caught.value)


def test_a_key_leads_to_its_owner_and_another_to_nobody() -> None:
    some = ring(acme=KEY, globex=b"another key")
    found = some.find(KEY)
    assert found is not None
    assert found.owner == "acme"
    assert some.find(KEY + b"x") is None
    assert some.find(KEY[:-1]) is None
    assert some.find(b"") is None


def test_nothing_is_known_by_the_digest_itself() -> None:
    assert ring(acme=KEY).find(digest_of(KEY)) is None
    assert ring(acme=KEY).find(written(digest_of(KEY)).encode()) is None


def test_one_owner_may_have_several_keys_with_ends_of_their_own() -> None:
    some: KnownKeys[str] = KnownKeys()
    some.replace({"acme": (KeyDigest(digest_of(b"old"), 100.0), KeyDigest(digest_of(b"new")))})
    old, new = some.find(b"old"), some.find(b"new")
    assert old is not None
    assert new is not None
    assert (old.owner, old.until_s) == ("acme", 100.0)
    assert (new.owner, new.until_s) == ("acme", math.inf)


def test_a_key_found_before_follows_what_replaces_the_known_ones() -> None:
    some = ring(acme=KEY, globex=b"gone soon")
    kept, gone = some.find(KEY), some.find(b"gone soon")
    assert isinstance(kept, Key)
    assert isinstance(gone, Key)
    some.replace({"initech": (KeyDigest(digest_of(KEY), 50.0),)})
    assert some.find(KEY) is kept
    assert (kept.owner, kept.until_s) == ("initech", 50.0)
    assert some.find(b"gone soon") is None
    assert gone.until_s == -math.inf
