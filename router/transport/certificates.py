"""TLS contexts from the files that the settings name, with errors that say which file is wrong and what to do."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from router.errors import CertificateError
from router.settings.tls import ClientTlsSettings, ServerTlsSettings
from router.transport.validity import validity_of

ALPN = ["http/1.1"]
"""What is spoken over TLS, RFC 7301; a peer that offers nothing of it is spoken to all the same."""

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A context ready for use.

    Attributes:
        until_s: wall-clock time at which its own certificate expires; None without one.
    """

    context: ssl.SSLContext
    until_s: float | None


def server_context(tls: ServerTlsSettings, setting: str, now_s: float) -> Loaded:
    """What the public port speaks.

    Args:
        tls: the files.
        setting: where they are named in the configuration, for messages.
        now_s: wall clock.

    Raises:
        CertificateError: a file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, _VERSIONS[tls.minimum_version])
    context.options |= ssl.OP_NO_RENEGOTIATION
    until_s = _load_identity(context, _Identity(setting, tls.certificate_file, tls.key_file), now_s)
    if tls.client_ca_file is not None:
        _load_authorities(context, f"{setting}.client_ca_file", tls.client_ca_file)
        required = tls.client_certificates == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return Loaded(context, until_s)


def client_context(tls: ClientTlsSettings, setting: str, now_s: float) -> Loaded:
    """What the router speaks as a client: the server's certificate and name are always verified.

    Args:
        tls: the files.
        setting: where they are named in the configuration, for messages.
        now_s: wall clock.

    Raises:
        CertificateError: a file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, ssl.TLSVersion.TLSv1_2)
    if tls.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, f"{setting}.ca_file", tls.ca_file)
    if tls.certificate_file is None or tls.key_file is None:
        return Loaded(context, None)
    return Loaded(context, _load_identity(context, _Identity(setting, tls.certificate_file, tls.key_file), now_s))


def _context(side: int, oldest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = oldest
    context.set_alpn_protocols(ALPN)
    return context


@dataclass(frozen=True, slots=True)
class _Identity:
    """A certificate with its key, and the section that names them."""

    setting: str
    certificate_file: Path
    key_file: Path


class _EncryptedKeyError(Exception):
    """OpenSSL asks for a password."""


def _load_identity(context: ssl.SSLContext, identity: _Identity, now_s: float) -> float:
    """Load certificate and key; when the certificate expires."""
    setting, path = f"{identity.setting}.certificate_file", identity.certificate_file
    try:
        validity = validity_of(_read(setting, path).decode("latin-1"))
    except ValueError as error:
        raise CertificateError(setting, str(path), f"{error}; write a PEM file with the certificate first") from error
    if now_s >= validity.until_s:
        raise CertificateError(setting, str(path), f"it expired on {written_date(validity.until_s)}; install a new one")
    if now_s < validity.from_s:
        reason = f"it is not valid before {written_date(validity.from_s)}; install a valid one or correct the clock"
        raise CertificateError(setting, str(path), reason)
    _load_chain(context, identity)
    return validity.until_s


def _load_chain(context: ssl.SSLContext, identity: _Identity) -> None:
    setting, path = f"{identity.setting}.key_file", identity.key_file
    _read(setting, path)
    try:
        context.load_cert_chain(identity.certificate_file, path, password=_refuse_password)
    except _EncryptedKeyError as error:
        raise CertificateError(setting, str(path), "the key is encrypted; write it without a password") from error
    except ssl.SSLError as error:
        reason = f"it is not the key of {identity.certificate_file}; install the two that belong together"
        if error.reason != "KEY_VALUES_MISMATCH":
            reason = f"certificate or key cannot be used ({error.reason or error}); write both as PEM"
        raise CertificateError(setting, str(path), reason) from error


def _refuse_password() -> str:
    # Without this OpenSSL would ask on the terminal, and the start would hang.
    raise _EncryptedKeyError


def _load_authorities(context: ssl.SSLContext, setting: str, path: Path) -> None:
    _read(setting, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        reason = f"it holds no certificates in PEM form ({error.reason or error}); write those of the authorities"
        raise CertificateError(setting, str(path), reason) from error


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CertificateError(setting, str(path), "there is no such file; correct the path or create it") from error
    except PermissionError as error:
        reason = f"user {os.getuid()}, as whom the router runs, may not read it; allow that"
        raise CertificateError(setting, str(path), reason) from error
    except OSError as error:
        raise CertificateError(setting, str(path), f"it cannot be read: {error.strerror}; correct the path") from error


def written_date(at_s: float) -> str:
    """A moment of the wall clock for a human, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
