from __future__ import annotations

from dataclasses import replace

import pytest

from controller.errors import ConfigError
from controller.optimizer.workload import Lengths
from controller.study.curves.table import Promise, Service, document, profile_rows, profiles_document, profiles_table
from controller.study.tables import markdown
from tests.fakes.fake_fleet import site

PROMISE = Promise(0.06, Lengths(1024.0, 256.0))
NAMES = ("llama-3.1-70b/bf16/4xh100", "llama-3.1-70b/fp8/2xh100")


def test_a_row_tells_capacity_power_and_evidence() -> None:
    found = profile_rows(NAMES, PROMISE)
    table = profiles_table(found, PROMISE)
    row = dict(zip((column.name for column in table.columns), table.rows[1], strict=True))
    assert (row["profile"], row["decode"]) == (NAMES[1], "estimated")
    assert row["W"] == pytest.approx(row["J/token"] * row["tokens/s"])
    assert row["start kJ"] == pytest.approx(row["start s"] * row["idle W"] / 1000)
    assert "60 ms" in table.title


def test_what_cannot_keep_the_latency_shows_dashes_and_no_zeros() -> None:
    promise = replace(PROMISE, itl_slo_s=0.001)
    table = profiles_table(profile_rows(NAMES, promise), promise)
    assert table.rows[0][2:6] == (None, None, None, None)
    assert markdown(table).count("| – | – | – | – |") == 2


def test_json_holds_every_figure_and_what_follows_from_them() -> None:
    found = profile_rows(NAMES, PROMISE)
    written = profiles_document(found, PROMISE)["rows"][0]
    assert written["w_at_capacity"] == found[0].w_at_capacity
    assert written["provenance"] == found[0].provenance
    assert document(found[0]) == written


def test_a_service_tells_which_pool_may_serve_which_class_and_why_not() -> None:
    fleet = site()
    strict = replace(fleet.classes[-1], itl_slo_s=0.001, precisions=())
    service = Service.of(replace(fleet, classes=(*fleet.classes[:-1], strict)))
    serves = [[service.serves(r, k) for k in range(len(fleet.pools))] for r in range(len(fleet.classes))]
    assert serves[0] == ["yes", "yes", "no: precision"]
    assert serves[-1] == ["no: latency"] * 3
    table = service.table()
    assert [row[:2] for row in table.rows[:2]] == [("premium", "bf16"), ("premium", "fp8")]
    assert table.rows[1][3] == fleet.pools[1].quality_loss_frac
    assert service.document()["classes"][0]["rows"][2]["may_serve"] == "no: precision"


def test_a_promise_that_is_no_figure_is_refused() -> None:
    with pytest.raises(ConfigError, match="itl_slo_s is 0"):
        profile_rows(NAMES, replace(PROMISE, itl_slo_s=0.0))
