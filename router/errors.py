"""Errors of the data plane.

RouterError
├── SettingsError        the configuration file or a command-line value is wrong
├── ListenError          an address cannot be listened on
├── CertificateError     a certificate, key or list of authorities cannot be used
├── DrainError           a router could not be drained, or not in time
├── PollError            a document of the controller could not be fetched
├── TableSourceError     the allocation could not be fetched
├── DiscoveryError       the instances of a pool could not be found out
└── WorkersError         the worker processes do not come up
"""

from router.transport.addresses import shown


class RouterError(Exception):
    """Root of the data plane's errors; its text is meant for the operator."""

    exit_code = 1


class SettingsError(RouterError):
    """A wrong configuration: the message names the file, the line, the key and the remedy."""

    exit_code = 2


class ListenError(RouterError):
    """An address cannot be listened on."""

    exit_code = 3

    def __init__(self, host: str, port: int, reason: str, remedy: str | None = None) -> None:
        if remedy is None:
            is_unix = host.startswith("/")
            remedy = "correct router.listen" if is_unix else "stop what holds the port or choose another one"
        super().__init__(f"cannot listen on {shown(host, port)}: {reason}; {remedy}")
        self.host = host
        self.port = port


class CertificateError(RouterError):
    """A file of TLS cannot be used: the message names the setting, the file and the remedy."""

    exit_code = 2

    def __init__(self, setting: str, path: str, reason: str) -> None:
        super().__init__(f"{setting}: {path}: {reason}")
        self.setting = setting
        self.path = path


class DrainError(RouterError):
    """A router could not be taken out of service, or has requests in flight yet when the wait is over."""


class PollError(RouterError):
    """A document of the controller could not be fetched."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class TableSourceError(RouterError):
    """The allocation could not be fetched; the last good table stays until it expires."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"allocation from {source}: {reason}")
        self.source = source
        self.reason = reason


class DiscoveryError(RouterError):
    """The instances of a pool could not be found out; those last known stay.

    Attributes:
        status: of the API server's answer, None where there was none.
        retry_after_s: when it wants to be asked again, None where it does not say.
    """

    def __init__(
        self, source: str, reason: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


class WorkersError(RouterError):
    """The worker processes do not come up."""

    exit_code = 4
