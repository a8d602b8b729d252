"""Errors of the control plane.

ControllerError
├── ConfigError        the configuration, a data file or a command-line value is wrong
├── ListenError        an address cannot be listened on
├── SignalError        a signal could not be read
│   ├── AnswerRefused  a server answered a request with an error
│   │   ├── FeedRefused  a publisher of prices or carbon did; any status but 200 is one
│   │   └── VtnError     an OpenADR server did
│   ├── NvmlError      a call of NVML, the library of the NVIDIA driver, failed
│   └── MessageError   a field of a received message is not what it must be
├── SolverError        no usable plan came out of a solver
│   ├── TimedOut       the time limit ended the search without a feasible plan
│   └── ProblemError   the numbers of a planning problem are wrong; also a ConfigError
├── ActuationError     a command could not be carried out
│   └── Superseded     another controller leads
├── KubernetesError    the API server of Kubernetes could not be asked, or refused
├── CallRefused        a call of the grid or of an operator cannot be followed
├── FitRefused         measurements do not carry a fit; also a ValueError
├── ProfileError       a pool cannot be profiled as it stands
└── StoreError         a record could not be written or does not verify
"""

import re
from enum import StrEnum

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


def _shown(text: str) -> str:
    """The text with no user or password in the addresses that it names."""
    return _CREDENTIALS.sub("", text)


class ControllerError(Exception):
    """Root of the control plane's errors; its text is meant for the operator."""

    exit_code = 1


class ConfigError(ControllerError):
    """A wrong configuration or input file; the message names the place, the value and the remedy."""

    exit_code = 2


class ListenError(ControllerError):
    """An address cannot be listened on."""

    exit_code = 3

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}; stop what holds the port or choose another one")
        self.host = host
        self.port = port


class SignalError(ControllerError):
    """A signal could not be read; the observation then holds `Missing` in its place.

    Attributes:
        retry_after_s: how long who was asked wants to be left alone; None where nobody says so.
    """

    retry_after_s: float | None = None

    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = _shown(source), _shown(reason)
        super().__init__(f"{self.source}: {self.reason}")


class AnswerRefused(SignalError):  # noqa: N818 - reads as the outcome it is
    """A server answered a request with an error, by a status of HTTP."""

    def __init__(self, source: str, reason: str, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(source, reason)
        self.status = status
        self.retry_after_s = retry_after_s


class FeedRefused(AnswerRefused):
    """A publisher answered with another status than 200."""


class NvmlFault(StrEnum):
    """What a failed call of NVML means for what is tried next."""

    LIBRARY = "library"
    """There is no library to call."""
    DRIVER = "driver"
    """The driver is not loaded, or was unloaded."""
    MISMATCH = "mismatch"
    """The driver was replaced by another version under this process, which only a new process cures."""
    UNSUPPORTED = "unsupported"
    """This GPU or driver does not have that figure."""
    PERMISSION = "permission"
    LOST = "lost"
    """The GPU fell off the bus or wants a reset."""
    OTHER = "other"


class NvmlError(SignalError):
    """A call of NVML failed."""

    def __init__(self, fault: NvmlFault, reason: str) -> None:
        super().__init__("nvml", reason)
        self.fault = fault


class MessageError(SignalError):
    """A field of a received message is not what it must be; `source` is its place, such as ``event.intervals[2]``."""


class VtnError(AnswerRefused):
    """An OpenADR server (VTN) answered a request with an error."""


class SolverError(ControllerError):
    """No usable plan came out of a solver; the last plan, then the greedy one, takes its place."""


class TimedOut(SolverError):  # noqa: N818 - reads as the outcome it is
    """The time limit ended the search without a feasible plan."""


class ProblemError(ConfigError, SolverError):
    """Wrong numbers of a planning problem: a mistake in what was configured, and in service no plan from a solver."""


class ActuationError(ControllerError):
    """A command could not be carried out; it is tried again at a later tick."""

    def __init__(self, target: str, reason: str) -> None:
        self.target, self.reason = target, _shown(reason)
        super().__init__(f"{target}: {self.reason}")


class Superseded(ActuationError):  # noqa: N818 - reads as the outcome it is
    """Another controller leads: what this one would publish is refused."""


class KubernetesError(ControllerError):
    """The API server of Kubernetes could not be asked, or refused.

    Attributes:
        status: of HTTP; None where there was no answer.
        retry_after_s: how long it wants to be left alone; None where it does not say so.
    """

    def __init__(self, what: str, reason: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{what}: {_shown(reason)}")
        self.status = status
        self.retry_after_s = retry_after_s


class CallRefused(ControllerError):  # noqa: N818 - reads as the outcome it is
    """A call cannot be followed; the text says why, `is_conflict` that what is held forbids it.

    Attributes:
        cause: one of `controller.grid.admit.Refusal`, by which refusals are counted.
    """

    def __init__(self, reason: str, *, is_conflict: bool = False, cause: str = "malformed") -> None:
        super().__init__(reason)
        self.is_conflict = is_conflict
        self.cause = cause


class FitRefused(ControllerError, ValueError):  # noqa: N818 - reads as the outcome it is
    """Measurements do not carry a fit; the message gives the reason and what to measure instead."""


class ProfileError(ControllerError):
    """A pool cannot be profiled as it stands; the message says what is in the way and the remedy."""


class PowerLost(ProfileError):  # noqa: N818 - reads as the outcome it is
    """The power of a pool that is profiled cannot be read, which may pass."""


class StoreError(ControllerError):
    """A record could not be written, or the chain of records does not verify."""
