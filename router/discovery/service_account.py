"""How a process reaches the Kubernetes API: by what a pod is given, or by what the settings name."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from router.errors import DiscoveryError, SettingsError
from router.file_marks import Marks, marks_of
from router.settings import KubernetesSettings

log = logging.getLogger(__name__)

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet projects a service account; its token is replaced about every hour."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Where the API server is, and what it is shown.

    Attributes:
        url: without a path.
        token_file: holds the bearer token; None to send none.
        ca_file: authorities that its certificate is verified by; None for the system's.
        namespace: the pod's own; None outside of one.
    """

    url: str
    token_file: Path | None
    ca_file: Path | None
    namespace: str | None


def service_account(
    settings: KubernetesSettings, environment: Mapping[str, str], folder: Path = FOLDER
) -> ServiceAccount:
    """What the settings name, and else what a pod has.

    Raises:
        SettingsError: neither says where the API server is.
    """
    url = settings.url
    if url is None:
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise SettingsError(
                "pools: discovery of kind kubernetes: this is no pod, as KUBERNETES_SERVICE_HOST is not set; "
                "write kubernetes.url, or list instances"
            )
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return ServiceAccount(
        url=url.rstrip("/"),
        token_file=settings.token_file or _if_there(folder / "token"),
        ca_file=settings.ca_file or _if_there(folder / "ca.crt"),
        namespace=_namespace(folder / "namespace"),
    )


def _if_there(file: Path) -> Path | None:
    return file if file.is_file() else None


def _namespace(file: Path) -> str | None:
    try:
        return file.read_text("utf-8").strip() or None
    except OSError:
        return None


class Credentials:
    """The token and the authorities of a service account, read again when their files change.

    Args:
        account: names the files.
    """

    def __init__(self, account: ServiceAccount) -> None:
        self._account = account
        self._token: str | None = None
        self._token_marks: Marks | None = None
        self._context: ssl.SSLContext | bool = True
        self._ca_marks: Marks | None = None

    def headers(self) -> dict[str, str]:
        """What a request shows.

        Raises:
            DiscoveryError: there is no token in its file.
        """
        file = self._account.token_file
        if file is None:
            return {}
        marks = marks_of([file])
        if self._token is None or marks != self._token_marks:
            self._token, self._token_marks = self._read_token(file), marks
        return {"Authorization": f"Bearer {self._token}"}

    def forget_token(self) -> bool:
        """Read the token anew next time: it was refused. False if there is none, or the file still holds it."""
        file, old = self._account.token_file, self._token
        if file is None or old is None:
            return False
        self._token = None
        return self._read_token(file) != old

    def tls(self) -> ssl.SSLContext | bool:
        """What the server's certificate is verified by.

        Raises:
            DiscoveryError: the file of authorities cannot be used and never could.
        """
        file = self._account.ca_file
        if file is None or not self._account.url.startswith("https://"):
            return True
        marks = marks_of([file])
        if self._context is True or marks != self._ca_marks:
            try:
                self._context = ssl.create_default_context(cafile=file)
            except (OSError, ssl.SSLError) as error:
                if self._context is True:
                    raise DiscoveryError(self._account.url, f"{file}: no authorities can be read: {error}") from error
                log.warning("changed authorities cannot be used; the old ones stay", extra={"file": str(file)})
            self._ca_marks = marks
        return self._context

    def _read_token(self, file: Path) -> str:
        try:
            token = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise DiscoveryError(self._account.url, f"{file}: the token cannot be read: {reason}") from error
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise DiscoveryError(self._account.url, f"{file}: holds no token")
        return token
