import math

import pytest

from controller.signals.prometheus_text import parse


def test_wanted_samples_are_read_with_their_labels():
    text = '# HELP a text\n# TYPE a gauge\na{x="1",y="two"} 3.5\nb 7\na 4 1700000000000\n'
    samples = list(parse(text, {"a"}))
    assert [(s.name, dict(s.labels), s.value) for s in samples] == [("a", {"x": "1", "y": "two"}, 3.5), ("a", {}, 4.0)]


def test_quotes_braces_and_escapes_within_labels():
    (sample,) = parse(r'a{path="C:\\x",text="say \"}\", then\nmore",} 1', {"a"})
    assert sample.labels == {"path": r"C:\x", "text": 'say "}", then\nmore'}


def test_special_values():
    values = [s.value for s in parse("a NaN\na +Inf\na -Inf\na 1e-3\n", {"a"})]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, 0.001]


def test_a_name_that_only_begins_alike_is_another():
    assert list(parse("a_total 1\n", {"a"})) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a", "no single value"),
        ("a one", "not a number"),
        ('a{x="1" 2', "do not end"),
        ("a{x=1} 2", "malformed labels"),
        ("a 1 2 3", "no single value"),
    ],
)
def test_a_malformed_line_of_a_wanted_name_is_refused_with_its_number(line, problem):
    with pytest.raises(ValueError, match=rf"line 2: .*{problem}"):
        list(parse(f"# first\n{line}\n", {"a"}))


def test_a_malformed_line_of_another_name_does_not_matter():
    assert [s.value for s in parse('b{x="1" 2\na 1\n', {"a"})] == [1.0]


def test_the_number_of_samples_is_bounded(monkeypatch):
    monkeypatch.setattr("controller.signals.prometheus_text.MAX_SAMPLES", 3)
    with pytest.raises(ValueError, match="more than 3 samples"):
        list(parse("a 1\n" * 4, {"a"}))
