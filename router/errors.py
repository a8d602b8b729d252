"""Errors of the data plane.

RouterError
├── SettingsError        the configuration file or a command-line value is wrong
├── ListenError          an address cannot be listened on
└── TableSourceError     the allocation could not be fetched
"""


class RouterError(Exception):
    """Root of the data plane's errors; its text is meant for the operator."""

    exit_code = 1


class SettingsError(RouterError):
    """A wrong configuration: the message names the file, the line, the key and the remedy."""

    exit_code = 2


class ListenError(RouterError):
    """An address cannot be listened on."""

    exit_code = 3

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}; stop what holds the port or choose another one")
        self.host = host
        self.port = port


class TableSourceError(RouterError):
    """The allocation could not be fetched; the last good table stays until it expires."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"allocation from {source}: {reason}")
        self.source = source
        self.reason = reason
