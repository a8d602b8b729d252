"""Whether a call can be met, by formula."""

from __future__ import annotations

from dataclasses import replace

from controller.model.fleet import Site
from tests.bench import reach
from tests.bench.chats import Chat, Ended
from tests.fakes.fake_fleet import site


def fleet() -> Site:
    found = site()
    flex = replace(found.classes[2], priority=-1)
    return replace(found, classes=(*found.classes[:2], flex))


def sent(class_id: str, count: int) -> list[Ended]:
    return [Ended(Chat(class_id, 100, 200, stream=True), 0.0, 5.0, 1.0, 200)] * count


def test_more_chats_above_flex_take_more_and_flex_takes_nothing() -> None:
    few, many = (reach.floor(fleet(), sent("standard", count), 10.0) for count in (50, 1000))
    held = reach.floor(fleet(), [*sent("standard", 50), *sent("flex", 500)], 10.0)
    assert few.idle_w < few.promises_w < many.promises_w
    assert held.promises_w == few.promises_w < held.served_w


def test_what_no_fleet_serves_has_no_floor() -> None:
    assert reach.floor(fleet(), sent("standard", 100_000), 1.0).promises_w is None
