from __future__ import annotations

import dataclasses

from controller.energy.steady_sample import Sample
from controller.study.fit.configurations import fit_rows
from controller.study.fit.rows import Kind, Rows
from controller.study.fit.tables import tables
from controller.study.tables import markdown


def rows(*, prompts: bool = False, odd: bool = False) -> Rows:
    samples = []
    for number, batch in enumerate((1.0, 8.0, 32.0, 64.0, 128.0)):
        step_s = 0.03 + 2e-4 * batch
        told = (100.0 * (number % 3)) if prompts else None
        samples.append(Sample(batch, batch / step_s, 1000 + 5 * batch, step_s, told))
    if odd:
        samples.append(Sample(200.0, 200 / 0.5, 1500.0, 0.05))
    return Rows("mine", Kind.UNTOLD, None, None, None, tuple(samples))


def titles(*configurations: Rows) -> list[str]:
    return [table.title for table in tables([fit_rows(found) for found in configurations])]


def test_only_tables_with_something_to_say_are_made() -> None:
    assert titles(rows()) == ["Median held-out errors", "Errors of each configuration", "Coefficients"]
    assert "Rows left out" in titles(rows(odd=True))
    few = dataclasses.replace(rows(), samples=rows().samples[:2])
    assert titles(few) == ["Refused, and what to do"]


def test_prompt_tokens_get_columns_where_they_were_counted() -> None:
    def heads(found: Rows) -> str:
        (table,) = (t for t in tables([fit_rows(found)]) if t.title == "Coefficients")
        return markdown(table).splitlines()[0]

    assert "prompt token" in heads(rows(prompts=True))
    assert "prompt token" not in heads(rows())
