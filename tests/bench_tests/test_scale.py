import yaml

from controller.settings.file import Settings
from controller.signals.engines import engine_metrics
from tests.bench.scale.__main__ import SIZES, Found, Size, document, table_of, times_of
from tests.bench.scale.engines import COUNT_PATH, answer
from tests.bench.scale.routers import Router
from tests.fakes.redis_server import RedisServer


def settings_of(size, folder):
    redis = RedisServer("redis-server", 6379, None)
    return Settings.model_validate(yaml.safe_load(yaml.safe_dump(document(size, redis, 8090, folder, 5.0))))


def test_a_fleet_of_each_size_is_configured_with_all_its_instances(tmp_path):
    for size in SIZES:
        settings = settings_of(size, tmp_path)
        assert len(settings.pools) == size.pools
        urls = [url for pool in settings.pools for url in pool.instances]
        assert len(urls) == len(set(urls)) == size.instances


def test_engines_answer_as_a_controller_reads_them():
    head, _, body = answer(b"/metrics", 10.0).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"content-length: {len(body)}".encode() in head
    metrics = engine_metrics(body.decode())
    assert (metrics.running, metrics.generation_tokens, metrics.is_sleeping) == (8, 4000.0, False)
    assert answer(b"/v1/models", 1.0).startswith(b"HTTP/1.1 404")


def test_an_engine_tells_how_often_it_was_asked():
    assert answer(COUNT_PATH, 1.0, 17).endswith(b"\r\n\r\n17")


async def test_routers_tell_of_every_instance(tmp_path):
    settings = settings_of(Size(1, 9, 3), tmp_path)
    snapshot = await Router(settings, 0).snapshot()
    assert len(snapshot.instances) == 9
    assert {view.in_flight for view in snapshot.instances} == {1}


def test_figures_are_told_for_one_instance_too():
    told = table_of([Found(Size(200, 500, 50), 12.0, 1.0, 0.5, 1000.0, 2e6, 3e6, 50_000)])
    assert told.splitlines()[-1].endswith("| 2.00 | 2.00 | 10.0 | 100 |")


def test_of_a_tick_the_solvers_time_is_told_of_its_kinds_together():
    text = (
        "wattroute_controller_tick_seconds_bucket{le=\"0.1\"} 1.0\n"
        "wattroute_controller_tick_seconds_count 4.0\nwattroute_controller_tick_seconds_sum 2.5\n"
        "wattroute_controller_solver_seconds_sum{kind=\"slow\"} 0.5\n"
        "wattroute_controller_solver_seconds_sum{kind=\"fast\"} 0.25\n"
    )  # fmt: skip
    assert times_of(text) == (4.0, 2.5, 0.75)
    assert times_of("") == (0.0, 0.0, 0.0)
    told = table_of([Found(Size(200, 500, 50), 12.0, 1.0, 0.5, 1000.0, 2e6, 3e6, 50_000, solver_s=0.75)])
    assert "| 1.00 | 0.750 | 0.50 |" in told
