"""Taking a changed configuration while requests go on: validated first, and the old one kept where it is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.discovery.merging import without_found
from router.errors import RouterError
from router.file_marks import Marks, marks_of
from router.settings import RouterFile
from router.snapshot import ConfigView
from router.tenants.source import secret_files

log = logging.getLogger(__name__)

POLL_S = 1.0
"""Time between two looks at the file."""
SETTLE_S = 0.25
"""How long a changed file must stay as it is before it is read."""
TAKEN, REFUSED, UNCHANGED = "taken", "refused", "unchanged"

_FIXED = (
    "router.host",
    "router.port",
    "router.listen",
    "router.listen_mode",
    "router.tls",
    "router.admin_host",
    "router.admin_port",
    "router.admin_token_file",
    "router.name",
    "router.workers",
    "router.access_log",
    "router.tracing",
    "table.url",
    "table.redis_url",
    "table.sentinels",
    "table.redis_key",
    "table.share_caps",
    "table.tls",
)
"""Keys that hold from the start of the process to its end: what is listened on, and where things come from."""


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where settings come from.

    Attributes:
        path: of the configuration file, None where there is none.
        load: reads it, with what the command line overrides; raises SettingsError.
    """

    path: Path | None
    load: Callable[[], RouterFile]


def digest_of(settings: RouterFile) -> str:
    """Twelve hexadecimal digits that differ where settings do, as the file has them: without found instances."""
    return hashlib.sha256(without_found(settings).model_dump_json().encode()).hexdigest()[:12]


def keep_fixed(new: RouterFile, old: RouterFile) -> tuple[RouterFile, tuple[str, ...]]:
    """New settings with the old values of what cannot change, and the keys of which the new values wait for a start."""
    sections: dict[str, dict[str, Any]] = {"router": {}, "table": {}}
    for key in _FIXED:
        section, _, name = key.partition(".")
        kept = getattr(getattr(old, section), name)
        if getattr(getattr(new, section), name) != kept:
            sections[section][name] = kept
    changes = {name: getattr(new, name).model_copy(update=kept) for name, kept in sections.items() if kept}
    names = tuple(f"{section}.{name}" for section, kept in sections.items() for name in kept)
    return (new.model_copy(update=changes) if changes else new), names


class Reloader:
    """Follows the configuration file, and the files of tenants and of engines' keys that it names.

    Args:
        source: where settings come from.
        settings: those of the start.
        apply: obeys others from now on; raises RouterError and leaves everything as it was where it cannot.
        wall_s: the wall clock.

    Attributes:
        settings: those obeyed.
    """

    def __init__(
        self,
        source: ConfigSource,
        settings: RouterFile,
        *,
        apply: Callable[[RouterFile], Awaitable[None]],
        wall_s: Callable[[], float],
    ) -> None:
        self._source = source
        self._apply = apply
        self._wall_s = wall_s
        self._asked = asyncio.Event()
        self._view = ConfigView(reloads={TAKEN: 0, REFUSED: 0, UNCHANGED: 0})
        self.settings = settings
        self._seen = self._look()
        self._secrets = marks_of(secret_files(settings))

    def view(self) -> ConfigView:
        """What became of the attempts so far."""
        return self._view

    def ask(self) -> None:
        """Look at the file now, for SIGHUP."""
        self._asked.set()

    async def run(self) -> None:
        """Follow until cancelled: when asked, and if the settings say so, when one of the files changes."""
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._asked.wait()
            except TimeoutError:
                if not self.settings.router.reload or not await self._has_settled():
                    continue
            self._asked.clear()
            await self.reload()

    async def reload(self) -> str:
        """Read the file and obey it; gives the result, which is counted and logged, too."""
        if self._source.path is None:
            log.warning("there is no configuration file to read again", extra={"remedy": "start with --config FILE"})
        self._seen = self._look()
        try:
            # Beside the event loop: a large file takes a while, and requests must not wait for it.
            found = await asyncio.to_thread(self._source.load)
            result = await self._take(found)
        except RouterError as error:
            self._view.error = str(error)
            result = REFUSED
            log.error("configuration refused; the old one stays", extra={"reason": str(error)})
        except Exception as error:
            # What follows the file is begun again; of this attempt it is not known how far it came.
            self._view.error = f"{type(error).__name__}: {error}"
            self._view.reloads[REFUSED] += 1
            raise
        self._view.reloads[result] += 1
        return result

    async def _take(self, found: RouterFile) -> str:
        settings, needs_restart = keep_fixed(found, self.settings)
        self._view.error = None
        if needs_restart != self._view.needs_restart and needs_restart:
            log.warning("a changed setting needs a restart", extra={"keys": ", ".join(needs_restart)})
        self._view.needs_restart = needs_restart
        secrets = marks_of(secret_files(settings))
        if settings == self.settings and secrets == self._secrets:
            log.info("configuration unchanged")
            return UNCHANGED
        await self._apply(settings)
        self.settings = settings
        self._secrets = secrets
        self._seen = (self._seen[0], secrets)
        self._view.loaded_at_s = self._wall_s()
        log.info("configuration taken", extra={"hash": digest_of(settings)})
        return TAKEN

    async def _has_settled(self) -> bool:
        """Whether a file differs from the one last read and stays as it is: whoever writes it may not be done."""
        found = self._look()
        if found == self._seen or None in found[0]:
            return False
        await asyncio.sleep(SETTLE_S)
        return found == self._look()

    def _look(self) -> tuple[Marks, Marks]:
        """At the configuration file, and at the files that it names."""
        config = () if self._source.path is None else (self._source.path,)
        return marks_of(config), marks_of(secret_files(self.settings))
