"""Parts of the control loop that note what they are given, and fail or wait where told to."""

import asyncio

from controller.model.plan import Verb


class Publisher:
    """Takes tables; waits for `gate`, where there is one, and raises `failure`, where there is one."""

    def __init__(self):
        self.tables, self.failure, self.gate = [], None, None

    async def apply(self, given):
        if self.gate is not None:
            await self.gate.wait()
        if self.failure:
            raise self.failure
        self.tables.append(given.table.sequence)
        return (f"table {given.table.sequence}",)


class Driver:
    """Carries out commands; waits for `gate` where it is to wait, and raises `failure`, where there is one."""

    verbs = (Verb.WAKE, Verb.SLEEP)

    def __init__(self, *, waits=False):
        self.failure, self.gate = None, asyncio.Event()
        if not waits:
            self.gate.set()

    async def carry_out(self, command):
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return "done"


class Account:
    """Numbered settlements but for those of `nothing_at`; raises `failure`, where there is one, when it tells."""

    def __init__(self, failure=None, *, nothing_at=(), fails_at_the_end=False):
        self.failure, self.looks, self.sites = failure, 0, []
        self._nothing_at, self._fails_at_the_end = nothing_at, fails_at_the_end
        self.j_per_output_token = {"bf16": {"standard": 4.5}}

    def take(self, seen, site):
        self.looks += 1
        self.sites.append(site)
        return None if self.looks in self._nothing_at else {"look": self.looks}

    def close(self):
        if self.failure and self._fails_at_the_end:
            raise self.failure
        return {"look": "last"}

    async def tell(self, now_s):
        if self.failure:
            raise self.failure
