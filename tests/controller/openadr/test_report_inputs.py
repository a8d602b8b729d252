from dataclasses import fields

from controller.openadr.report_inputs import ReportInputs


def test_nothing_is_known_that_was_not_told() -> None:
    inputs = ReportInputs(0.0)
    assert all(getattr(inputs, field.name) in ((), None) for field in fields(inputs) if field.name != "now_s")
