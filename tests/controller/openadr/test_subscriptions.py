import asyncio
import contextlib
import random

import pytest
from prometheus_client import CollectorRegistry

from controller.openadr.metrics import PREFIX
from controller.openadr.notified import Notified, NotifiedMetrics
from controller.openadr.specs import CallbackSpec
from controller.openadr.subscriptions import FIRST_S, RENEW_S, Subscriber, SubscriberParts
from controller.openadr.webhook import PATH, Callback, listen
from tests.fakes.vtn.follower import follower
from tests.fakes.vtn.server import fake_vtn, interval

VERSIONS = ("3.1.0", "3.0.1")
LIMIT = interval(0, "IMPORT_CAPACITY_LIMIT", 12, start="0001-01-01", duration="PT1H")


class Told:
    def __init__(self, vtn, site, registry):
        self.vtn, self.site, self.registry = vtn, site, registry
        self.woken = asyncio.Event()
        self.made = 0

    def on_change(self):
        self.made += 1

    def stands(self):
        return self.registry.get_sample_value(f"{PREFIX}notified", {"vtn": "utility", "way": "webhook"})

    def subscriptions(self):
        return list(self.vtn.store.kinds["subscriptions"].values())

    async def polled(self):
        async with asyncio.timeout(5):
            await self.woken.wait()
        self.woken.clear()
        await self.site.poll(1)


@contextlib.asynccontextmanager
async def subscribed(folder, version="3.1.0"):
    registry = CollectorRegistry()
    async with fake_vtn(version) as vtn, follower(vtn, folder) as site:
        told = Told(vtn, site, registry)
        notified = Notified(NotifiedMetrics(registry), "utility", "webhook")
        callback = Callback("utility", site.clock, told.woken.set, notified.count)
        runner = await listen(callback.app(), CallbackSpec("https://x", "127.0.0.1", 0))
        told.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
        told.callback = callback

        def subscriber():
            return Subscriber(
                SubscriberParts(
                    site.ven.client,
                    "ven-1",
                    told.url,
                    callback.token,
                    lambda: site.ven.programs,
                    random.Random(1),
                    notified,
                    told.on_change,
                )
            )

        told.subscriber = subscriber
        try:
            yield told
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_event_is_followed_as_soon_as_the_vtn_tells_of_it(tmp_path, version):
    async with subscribed(tmp_path, version) as told:
        subscriber = told.subscriber()
        assert await subscriber.look_after() == FIRST_S  # the programmes are not known yet
        program = told.vtn.add_program()
        await told.site.poll()
        assert await subscriber.look_after() >= RENEW_S * 0.8
        assert (told.stands(), told.made) == (1, 1)
        event = told.vtn.add_event(program, LIMIT)
        await told.polled()
        assert told.site.live() == {event}
        told.vtn.delete_event(event)
        await told.polled()
        assert told.site.live() == set()
        await subscriber.unsubscribe()
        assert told.subscriptions() == []


async def test_a_subscription_that_is_gone_is_made_anew_and_one_that_stands_is_left(tmp_path):
    async with subscribed(tmp_path) as told:
        told.vtn.add_program()
        await told.site.poll()
        subscriber = told.subscriber()
        await subscriber.look_after()
        (first,) = told.subscriptions()
        await subscriber.look_after()
        assert told.subscriptions() == [first]
        told.vtn.store.delete("subscriptions", first["id"])
        await subscriber.look_after()
        (second,) = told.subscriptions()
        assert second["id"] != first["id"]
        assert told.made == 2


async def test_what_a_killed_process_has_left_is_taken_over_with_the_new_token(tmp_path):
    async with subscribed(tmp_path) as told:
        told.vtn.add_program()
        await told.site.poll()
        await told.subscriber().look_after()
        (left,) = told.subscriptions()
        twin = {key: left[key] for key in ("clientName", "programID", "objectOperations")}
        told.vtn.store.create("subscriptions", twin, clientID="ven-1")
        told.callback.token = "a-token-of-the-next-process"
        await told.subscriber().look_after()
        (kept,) = told.subscriptions()
        assert kept["id"] == left["id"]
        assert kept["objectOperations"][0]["bearerToken"] == "a-token-of-the-next-process"


async def test_a_vtn_that_refuses_is_followed_by_polling(tmp_path):
    async with subscribed(tmp_path) as told:
        program = told.vtn.add_program()
        await told.site.poll()
        subscriber = told.subscriber()
        told.vtn.fail("POST /subscriptions", 403)
        pauses = [await subscriber.look_after() for _ in range(6)]
        assert pauses[-1] > pauses[0]
        assert told.stands() == 0
        event = told.vtn.add_event(program, LIMIT)
        await told.site.poll(30)
        assert told.site.live() == {event}
        told.vtn.mend()
        await subscriber.look_after()
        assert told.stands() == 1


async def test_a_callback_that_does_not_answer_the_challenge_is_not_subscribed(tmp_path):
    async with subscribed(tmp_path) as told:
        told.vtn.add_program()
        await told.site.poll()
        told.url = told.url.replace(PATH, "/elsewhere")
        await told.subscriber().look_after()
        assert (told.stands(), told.subscriptions()) == (0, [])


async def test_a_subscription_that_cannot_be_deleted_is_told_of(tmp_path, caplog):
    async with subscribed(tmp_path) as told:
        told.vtn.add_program()
        await told.site.poll()
        subscriber = told.subscriber()
        await subscriber.look_after()
        told.vtn.fail("DELETE /subscriptions", 500)
        await subscriber.unsubscribe()
        assert "subscription not deleted" in caplog.text
