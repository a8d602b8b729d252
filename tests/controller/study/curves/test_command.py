from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from controller.errors import ConfigError
from controller.simulation.profiles import PROFILES
from controller.study.curves.command import CurvesOptions, chosen, run
from tests.fakes.system import ROOT


def printed(**options: object) -> str:
    out = io.StringIO()
    run(CurvesOptions(**options), Console(file=out, width=200))
    return out.getvalue()


def test_every_built_in_profile_is_shown() -> None:
    text = printed()
    assert all(name in text for name in PROFILES)
    assert "measured" in text
    assert "estimated" in text


def test_the_reference_page_holds_what_the_command_prints() -> None:
    assert printed(as_markdown=True) in (ROOT / "docs/reference/curves.md").read_text()


def test_a_tighter_latency_leaves_less_in_json() -> None:
    loose, tight = (
        json.loads(printed(profiles=("qwen3-32b/bf16/2xh100",), itl_slo_ms=slo, as_json=True)) for slo in (60.0, 30.0)
    )
    assert tight["itl_slo_s"] == 0.03
    (one,), (other,) = loose["rows"], tight["rows"]
    assert 0 < other["capacity_tokens_per_s"] < one["capacity_tokens_per_s"]
    assert one["provenance"]["decode"]["evidence"] == "measured"
    assert one["provenance"]["states"]["evidence"] == "estimated"


def test_the_pools_of_a_service_are_shown_for_each_of_its_classes() -> None:
    config = ROOT / "deploy/examples/laptop.yaml"
    assert "no: precision" in printed(config=config)
    document = json.loads(printed(config=config, as_json=True))
    assert [cls["class"] for cls in document["classes"]] == ["standard", "premium", "flex"]
    assert all(len(cls["rows"]) == 3 for cls in document["classes"])


def test_a_beginning_up_to_a_slash_chooses_all_of_it() -> None:
    assert chosen(("qwen3-32b/fp8",)) == ("qwen3-32b/fp8/1xh100",)
    assert {name.split("/")[0] for name in chosen(("llama-3.1-8b",))} == {"llama-3.1-8b"}
    assert chosen(()) == tuple(PROFILES)
    with pytest.raises(ConfigError, match=r"'llama-3'; near"):
        chosen(("llama-3",))


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'llama-3\.1-70b/fp8/4xh100'; near it are .*llama-3\.1-70b/fp8/2xh100"):
        printed(profiles=("llama-3.1-70b/fp8/4xh100",))


@pytest.mark.parametrize("value", [0.0, -5.0, float("nan"), float("inf")])
@pytest.mark.parametrize("option", ["itl_slo_ms", "input_tokens", "output_tokens"])
def test_figures_that_are_not_positive_are_refused_by_their_option(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"--{option.replace('_', '-')} .*not a figure above zero; give for example"):
        printed(**{option: value})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"config": Path("x.yaml"), "itl_slo_ms": 60.0}, r"leave out profile names, --itl-slo-ms"),
        ({"config": Path("x.yaml"), "profiles": ("qwen3-32b",)}, r"leave out profile names"),
        ({"as_json": True, "as_markdown": True}, r"choose one"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        printed(**options)
