from controller.openadr.specs import VenSpec


def test_all_names_of_ours_are_targets_of_ours():
    spec = VenSpec("utility", "https://vtn", {"Shed": "dr"}, ("north",), "site-1", ("hall",))
    assert spec.own == {"north", "site-1", "hall", "Shed"}
    assert spec.source == "openadr:utility"


def test_a_ven_without_a_name_has_none_to_be_targeted_by():
    assert VenSpec("prices", "https://vtn", {"Tariff": "dr"}).own == {"Tariff"}
