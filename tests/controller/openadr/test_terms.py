from controller.openadr.messages import EventDescriptor, Program
from controller.openadr.specs import VenSpec
from controller.openadr.terms import terms_of


def test_what_is_configured_and_what_the_programme_says_come_together():
    spec = VenSpec(
        "utility", "https://vtn", {"ResShed": "dr"}, ("north",), alerts={"ALERT_OTHER": 1}, percent_levels={10: 1}
    )
    units = (EventDescriptor("IMPORT_CAPACITY_LIMIT", "MW"),)
    terms = terms_of(spec, Program("p-1", "ResShed", descriptors=units, zone_s=3600.0))
    assert (terms.source, terms.programme, terms.descriptors) == ("openadr:utility", "dr", units)
    assert terms.own == {"north", "ResShed"}
    assert (terms.alerts, terms.percent_levels, terms.zone_s) == ({"ALERT_OTHER": 1}, {10: 1}, 3600.0)
