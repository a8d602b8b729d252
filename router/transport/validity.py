"""When a certificate is valid, read from its DER bytes. Pure.

The standard library tells this only of certificates that a peer has shown. The structure is that of RFC 5280 §4.1:
Certificate → TBSCertificate → (version), serialNumber, signature, issuer, validity {notBefore, notAfter}.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate is valid, in seconds of Unix time."""

    from_s: float
    until_s: float


def validity_of(pem: str) -> Validity:
    """Of the first certificate in a PEM text, which is the server's or client's own.

    Raises:
        ValueError: there is none, or it is malformed.
    """
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    if begin < 0 or end < 0:
        raise ValueError("it holds no certificate")
    try:
        return _validity(ssl.PEM_cert_to_DER_cert(pem[begin : end + len(_END)]))
    except (ValueError, IndexError) as error:
        raise ValueError("its first certificate is malformed") from error


def _validity(der: bytes) -> Validity:
    tbs = _inside(_inside(der, _SEQUENCE), _SEQUENCE)
    if tbs[0] == _VERSION:
        tbs = _after(tbs)
    for _ in ("serialNumber", "signature", "issuer"):
        tbs = _after(tbs)
    times = _inside(tbs, _SEQUENCE)
    return Validity(_time(times), _time(_after(times)))


def _bounds(der: bytes) -> tuple[int, int]:
    """Where the content of the first element begins and ends, X.690 §8.1.3."""
    length = der[1]
    if length < 0x80:
        begin = 2
    else:
        begin = 2 + (length & 0x7F)
        length = int.from_bytes(der[2:begin], "big")
    if begin + length > len(der):
        raise ValueError("an element is longer than what holds it")
    return begin, begin + length


def _inside(der: bytes, tag: int) -> bytes:
    if der[0] != tag:
        raise ValueError(f"tag {der[0]:#x} where {tag:#x} is expected")
    begin, end = _bounds(der)
    return der[begin:end]


def _after(der: bytes) -> bytes:
    return der[_bounds(der)[1] :]


def _time(der: bytes) -> float:
    """UTCTime YYMMDDHHMMSSZ or GeneralizedTime YYYYMMDDHHMMSSZ, RFC 5280 §4.1.2.5."""
    tag = der[0]
    if tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError(f"tag {tag:#x} is no time")
    text = _inside(der, tag).decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
