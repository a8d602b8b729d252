"""What a router asks of its process: room for its connections, and a garbage collector that seldom stops it."""

from __future__ import annotations

import gc
import logging
import resource

log = logging.getLogger(__name__)

FILES_PER_CLIENT = 2
"""A client's connection and the engine's that serves it."""
OTHER_FILES = 128

YOUNG_OBJECTS = 10_000
"""New objects before the collector looks at them. The data path makes next to no cycles; with thousands of streams open
a look at all objects takes milliseconds, in which nothing is relayed."""


def raise_file_limit(max_connections: int) -> int:
    """Allow this process and its children as many open files as it may have, and say where that is too few.

    Args:
        max_connections: client connections that the settings allow.

    Returns:
        The limit that holds from now on, `resource.RLIM_INFINITY` where there is none; most shells start with 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES_PER_CLIENT * max_connections + OTHER_FILES
    if soft == resource.RLIM_INFINITY:
        return soft
    limit = max(soft, needed) if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < needed:
        log.warning(
            "open files are limited below max_connections",
            extra={"limit": limit, "needed": needed, "remedy": "raise the hard limit of open files (ulimit -Hn)"},
        )
    return limit


def calm_collector() -> None:
    """Leave what has been imported alone for life, and look at the rest seldom."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
