"""What the bench of convergence judges by; the processes are in tests.bench.convergence."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import pytest

from tests.bench.convergence import site as site_module
from tests.bench.convergence.__main__ import Found, round_s, table_of
from tests.bench.convergence.cuts import Cut
from tests.bench.convergence.site import until

BEFORE, MEANWHILE = 7, 9


class PlayedSite:
    """A site whose routers are found to obey one after the other of these once the link is back."""

    def __init__(self, published: int, then: Sequence[list[int]]) -> None:
        self.is_cut = False
        self.left = [list(each) for each in then]
        self._published = published

    async def settled(self) -> bool:
        return True

    async def expired(self) -> bool:
        return self.is_cut

    async def issued(self) -> int:
        return self._published

    async def obeyed(self) -> list[int]:
        return self.left.pop(0) if not self.is_cut else [BEFORE, BEFORE]

    def cut(self, *, lasts: bool) -> Cut:
        async def begin(_: object) -> None:
            self.is_cut = True

        async def end(_: object) -> float:
            self.is_cut = False
            return monotonic()

        return Cut("played", begin, end, lasts)


@pytest.mark.parametrize("lasts", [True, False])
async def test_all_routers_are_waited_for_until_they_obey_what_was_published_when_the_link_came_back(
    lasts: bool,
) -> None:
    site = PlayedSite(MEANWHILE, [[-1, -1], [8, 9], [9, 8], [9, 9], [10, 10]])
    assert await round_s(site, site.cut(lasts=lasts), 0.0) >= 0.0  # type: ignore[arg-type]
    assert site.left == [[10, 10]]


async def test_a_table_from_before_the_cut_is_not_the_newest_though_nothing_else_is_published_yet() -> None:
    site = PlayedSite(-1, [[BEFORE, BEFORE], [8, BEFORE], [8, 8]])
    await round_s(site, site.cut(lasts=False), 0.0)  # type: ignore[arg-type]
    assert site.left == []


async def test_a_link_that_never_converges_ends_the_bench_with_what_was_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never() -> bool:
        return False

    monkeypatch.setattr(site_module, "GIVE_UP_S", 0.05)
    with pytest.raises(RuntimeError, match="all routers obey"):
        await until(never, "all routers obey")


def test_figures_are_told_a_line_for_each_way() -> None:
    told = table_of([Found("Redis", "killed", (0.5, 0.25, 1.75), 1204, {})])
    assert told.splitlines()[-1] == "| Redis | killed | 3 | 0.50 | 1.75 | 1,204 | 0 |"
