import base64
from datetime import UTC, datetime

import pytest
import trustme

from router.transport.validity import validity_of

FROM, UNTIL = datetime(2024, 3, 1, 12, 30, tzinfo=UTC), datetime(2051, 7, 4, 1, 2, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def pem() -> str:
    """Valid past 2050, so that one time is a UTCTime and the other a GeneralizedTime."""
    authority = trustme.CA()
    leaf = authority.issue_cert("a.test", not_before=FROM, not_after=UNTIL)
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems).decode()


def wrapped(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


def test_both_forms_of_time_are_read(pem: str) -> None:
    found = validity_of(pem)
    assert (found.from_s, found.until_s) == (FROM.timestamp(), UNTIL.timestamp())


def test_the_first_certificate_counts(pem: str) -> None:
    other = b"".join(blob.bytes() for blob in trustme.CA().issue_cert("b.test").cert_chain_pems).decode()
    assert validity_of(f"some words\n{pem}{other}").until_s == UNTIL.timestamp()
    assert validity_of(other).until_s != UNTIL.timestamp()


def test_a_text_without_a_certificate() -> None:
    with pytest.raises(ValueError, match="holds no certificate"):
        validity_of("-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize("length", [0, 1, 2, 5, 40, 80, 120, 150])
def test_a_certificate_that_is_cut_short(pem: str, length: int) -> None:
    body = pem.split("-----")[2]
    with pytest.raises(ValueError, match="malformed"):
        validity_of(wrapped(base64.b64decode(body)[:length]))


@pytest.mark.parametrize("der", [b"\x30\x80", b"\x02\x01\x00", b"\x30\x04\x30\x02\x02\x00", b"\xff" * 64])
def test_bytes_that_are_no_certificate(der: bytes) -> None:
    with pytest.raises(ValueError, match="malformed"):
        validity_of(wrapped(der))


def test_a_certificate_of_version_1_has_no_version_field() -> None:
    time = b"\x17\x0d240301123000Z"
    validity = b"\x30" + bytes([2 * len(time)]) + 2 * time
    inner = b"\x02\x01\x01" + b"\x30\x00" + b"\x30\x00" + validity
    tbs = b"\x30" + bytes([len(inner)]) + inner
    assert validity_of(wrapped(b"\x30" + bytes([len(tbs)]) + tbs)).from_s == FROM.timestamp()
