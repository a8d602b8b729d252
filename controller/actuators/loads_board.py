"""Engines' loads as the controller's own API serves them; see `router.contract_loads`."""

from __future__ import annotations

from dataclasses import dataclass

from router.contract_loads import Loads, encode_loads


@dataclass(frozen=True, slots=True)
class PostedLoads:
    """Loads in their JSON form, and their entity tag."""

    body: bytes
    etag: str


class LoadsBoard:
    """Holds the last loads for routers that ask over HTTP.

    Attributes:
        current: None before the first ones. They need no expiry: routers go by them while there are others each time.
    """

    def __init__(self) -> None:
        self.current: PostedLoads | None = None

    def post(self, loads: Loads) -> PostedLoads:
        """Put up loads in place of those before."""
        self.current = PostedLoads(encode_loads(loads), f'"{loads.sequence}"')
        return self.current
