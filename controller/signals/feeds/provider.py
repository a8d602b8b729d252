"""What feeds need of the network, and what they give; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller.signals.feeds.outlook import Outlook


@dataclass(frozen=True, slots=True)
class Ask:
    """One GET.

    Attributes:
        params: of the query, without the secret.
        headers: sent along; what stands in `Authorization` is shown nowhere.
        secret_header: header that the configured secret is sent in.
        secret_param: parameter of the query that it is sent in.
        user: name for HTTP basic authentication, the secret being the password.
        is_repeated: whether the same address is asked again, so that its answer is worth keeping for a 304.
    """

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_header: str | None = None
    secret_param: str | None = None
    user: str | None = None
    is_repeated: bool = False


class Web(Protocol):
    """How a feed asks its publisher."""

    async def get(self, ask: Ask) -> bytes:
        """Body of a 200 answer, or of the one that a 304 confirms.

        Raises:
            FeedRefused: another status.
            SignalError: no answer.
        """

    def hide(self, secret: str) -> None:
        """Keep a text that the publisher handed out, such as a session's token, out of errors and logs."""


class Provider(Protocol):
    """A publisher of one price or carbon series."""

    @property
    def source(self) -> str:
        """Who tells it, and of what."""

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """What it tells now.

        Raises:
            SignalError: nothing that can be used; the reason is fit for the operator.
        """
