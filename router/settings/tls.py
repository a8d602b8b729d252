"""TLS: who this router is to its clients, and whom it believes and who it is where it is a client itself.

Where the router is a client the server's certificate is always verified; there is no switch to turn that off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from router.settings.fields import Group, Seconds

HostName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")]


class ServerTlsSettings(Group):
    """TLS on the public port. The files are read again when they change."""

    certificate_file: Path
    """PEM file with the router's certificate, followed by the intermediate ones."""
    key_file: Path
    """PEM file with the certificate's key, not encrypted."""
    client_ca_file: Path | None = None
    """PEM file with the authorities whose certificates clients show (mutual TLS). Absent: none is asked for."""
    client_certificates: Literal["required", "optional"] = "required"
    """Where `client_ca_file` is set: `optional` also takes clients that show no certificate."""
    minimum_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    """Oldest version spoken."""
    handshake_s: Seconds = 10.0
    """Longest a handshake may take; then the connection is cut."""


class ClientTlsSettings(Group):
    """Whom the router believes, and who it is, where it connects by TLS. The files are read again when they change."""

    ca_file: Path | None = None
    """PEM file with the authorities that may have issued the server's certificate. Absent: those of the system."""
    certificate_file: Path | None = None
    """PEM file with the certificate the router shows (mutual TLS), followed by the intermediate ones."""
    key_file: Path | None = None
    """PEM file with its key, not encrypted."""

    @model_validator(mode="after")
    def _whole(self) -> ClientTlsSettings:
        if (self.certificate_file is None) is not (self.key_file is None):
            raise ValueError("certificate_file and key_file go together; write both or neither")
        return self


class EngineTlsSettings(ClientTlsSettings):
    """TLS to the engines of a pool whose instances are https://HOST:PORT."""

    server_name: HostName | None = None
    """Name that the engines' certificates must carry. Absent: the host of the instance's address."""

    def files(self) -> ClientTlsSettings:
        """What pools with the same files have in common."""
        return ClientTlsSettings(ca_file=self.ca_file, certificate_file=self.certificate_file, key_file=self.key_file)
