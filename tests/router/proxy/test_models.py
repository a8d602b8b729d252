import asyncio
import json

from router.proxy.models import KEPT_S, Answer, ModelList, merge


def listing(*ids: str, owner: str = "vllm") -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name, "owned_by": owner} for name in ids]}).encode()


def ids(answer: Answer) -> list[str]:
    return [model["id"] for model in json.loads(answer[1])["data"]]


class Engines:
    """Answers by URL; an absent one cannot be reached."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str | None]] = []

    async def fetch(self, url: str, authorization: str | None) -> Answer:
        self.asked.append((url, authorization))
        await asyncio.sleep(0)
        if url not in self.answers:
            raise ConnectionError(url)
        return self.answers[url]


async def asked(models: ModelList, authorization: bytes | None = None) -> Answer:
    done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    models.ask(authorization, done.set_result)
    return await done


def test_models_are_merged_and_the_first_of_two_stays() -> None:
    status, body = merge([(200, listing("a", "b")), (200, listing("b", "c", owner="other"))])
    assert status == 200
    data = json.loads(body)["data"]
    assert [(model["id"], model["owned_by"]) for model in data] == [("a", "vllm"), ("b", "vllm"), ("c", "other")]


def test_a_list_that_cannot_be_read_is_left_out() -> None:
    assert ids(merge([(200, b"nonsense"), (200, b'{"data":[{}]}'), (200, listing("a"))])) == ["a"]


def test_without_any_list_the_first_refusal_is_passed_on() -> None:
    assert merge([(401, b"no"), (500, b"oh")]) == (401, b"no")


def test_without_any_answer_there_is_an_error() -> None:
    status, body = merge([])
    assert status == 503
    assert json.loads(body)["error"]["code"] == 503


async def test_the_next_engine_of_a_pool_is_asked_where_one_fails() -> None:
    engines = Engines(bad=(500, b""), good=(200, listing("a")), other=(200, listing("b")))
    models = ModelList(lambda: [["absent", "bad", "good", "unasked"], ["other"]], engines.fetch, lambda: 0.0)
    assert ids(await asked(models)) == ["a", "b"]
    assert ("unasked", None) not in engines.asked


async def test_the_list_is_kept_for_a_while() -> None:
    now_s = 0.0
    engines = Engines(one=(200, listing("a")))
    models = ModelList(lambda: [["one"]], engines.fetch, lambda: now_s)
    await asked(models)
    await asked(models)
    assert len(engines.asked) == 1
    now_s = KEPT_S
    await asked(models)
    assert len(engines.asked) == 2


async def test_those_who_ask_together_share_one_question() -> None:
    engines = Engines(one=(200, listing("a")))
    models = ModelList(lambda: [["one"]], engines.fetch, lambda: 0.0)
    answers = await asyncio.gather(*(asked(models) for _ in range(3)))
    assert [ids(answer) for answer in answers] == [["a"]] * 3
    assert len(engines.asked) == 1


async def test_a_list_is_not_shared_between_keys_and_no_failure_is_kept() -> None:
    engines = Engines(one=(401, b"no"))
    models = ModelList(lambda: [["one"]], engines.fetch, lambda: 0.0)
    assert (await asked(models))[0] == 401
    engines.answers["one"] = (200, listing("a"))
    assert (await asked(models, b"Bearer k"))[0] == 200
    engines.answers["one"] = (401, b"no")
    assert (await asked(models))[0] == 401
    assert engines.asked == [("one", None), ("one", "Bearer k"), ("one", None)]
