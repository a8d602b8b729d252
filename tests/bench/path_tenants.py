"""What tenants and several workers add to a request, without the kernel: ``python -m tests.bench.path_tenants``.

As `tests.bench.path` has it, with one instance. Requests carry a key also where nobody looks at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from router.settings import TenantsSettings
from router.shared_memory import SharedMemory
from tests.bench.choose import settings_of
from tests.bench.ours import LIMITS, tenant_of
from tests.bench.path import REQUESTS, Path, best, plain_us
from tests.bench.proxies import KEY

MANY = 10_000
OF_REQUESTS = {"requests_per_minute": LIMITS["requests_per_minute"]}
OF_TOKENS = {**OF_REQUESTS, "tokens_per_minute": LIMITS["tokens_per_minute"]}


@dataclass(frozen=True)
class Kind:
    """A router and its requests.

    Attributes:
        keys: that the requests carry in turn.
        tenants: that the router knows, each with one of these; 0 leaves it open.
        limits: of each tenant, never reached.
        shares: whether it is one of several workers.
    """

    title: str
    keys: int = 1
    tenants: int = 0
    limits: Mapping[str, object] = field(default_factory=dict)
    shares: bool = False


KINDS = (
    Kind("no tenants"),
    Kind("a tenant without limits", tenants=1),
    Kind("a tenant with a limit of requests", tenants=1, limits=OF_REQUESTS),
    Kind("a tenant with limits of requests and tokens", tenants=1, limits=OF_TOKENS),
    Kind("no tenants, another key each time", keys=MANY),
    Kind(f"{MANY:,} tenants with such limits, another each time", keys=MANY, tenants=MANY, limits=OF_TOKENS),
    Kind("several workers, no tenants", shares=True),
    Kind("several workers, a tenant with a limit of requests", tenants=1, limits=OF_REQUESTS, shares=True),
    Kind("several workers, a tenant with limits of requests and tokens", tenants=1, limits=OF_TOKENS, shares=True),
)


@contextlib.contextmanager
def path_of(kind: Kind) -> Iterator[Path]:
    """A client and an engine of such a router, within a running event loop."""
    settings = settings_of(1, 1)
    if kind.tenants:
        tenants = TenantsSettings.model_validate({"list": [tenant_of(n, kind.limits) for n in range(kind.tenants)]})
        settings = settings.model_copy(update={"tenants": tenants})
    with contextlib.ExitStack() as stack:
        memory = SharedMemory.create(2) if kind.shares else None
        if memory is not None:
            stack.callback(memory.close)
        yield Path.of(settings, memory)


def request_us(path: Path, kind: Kind, requests: int = REQUESTS) -> float:
    """CPU of a request."""
    lines = [b"Authorization: Bearer %b\r\n" % (KEY % number).encode() for number in range(kind.keys)]
    return plain_us(path, requests, lines)


async def main() -> None:
    """Print a line a kind."""
    gc.freeze()
    for kind in KINDS:
        with path_of(kind) as path:
            least_us = best(lambda path=path, kind=kind: request_us(path, kind))
        sys.stdout.write(f"{kind.title}: {least_us:.2f} us a request\n")


if __name__ == "__main__":
    asyncio.run(main())
