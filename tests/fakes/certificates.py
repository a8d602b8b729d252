"""Certificates as files, issued by authorities made for a test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import trustme

HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Pair:
    """A certificate with its key, in two files."""

    certificate_file: Path
    key_file: Path

    def settings(self) -> dict[str, str]:
        """As a section of the configuration names them."""
        return {"certificate_file": str(self.certificate_file), "key_file": str(self.key_file)}

    def server(self, clients: Authority | None = None) -> ssl.SSLContext:
        """What a server speaks with it, which asks for certificates of `clients`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        if clients is not None:
            context.load_verify_locations(clients.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass
class Authority:
    """Issues certificates and writes them to a folder."""

    folder: Path
    name: str = "ca"
    issuer: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.file = self.folder / f"{self.name}.pem"
        self.issuer.cert_pem.write_to_path(str(self.file))

    def issue(
        self,
        name: str,
        *hosts: str,
        since: datetime | None = None,
        until: datetime | None = None,
        cn: str | None = None,
    ) -> Pair:
        """A certificate for `hosts`, else for this machine; files of that name are replaced."""
        blobs = self.issuer.issue_cert(*(hosts or HOSTS), not_before=since, not_after=until, common_name=cn)
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        pair.certificate_file.write_bytes(b"".join(blob.bytes() for blob in blobs.cert_chain_pems))
        pair.key_file.write_bytes(blobs.private_key_pem.bytes())
        return pair

    def expired(self, name: str, *hosts: str) -> Pair:
        """A certificate of the past."""
        return self.issue(name, *hosts, since=datetime(2020, 1, 1, tzinfo=UTC), until=datetime(2021, 1, 1, tzinfo=UTC))

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """What a client speaks that believes this authority and shows `pair`."""
        context = ssl.create_default_context(cafile=self.file)
        if pair is not None:
            context.load_cert_chain(pair.certificate_file, pair.key_file)
        return context
