from controller.openadr2.specs import Ven2Spec


def test_calls_of_both_versions_name_their_source_alike() -> None:
    assert Ven2Spec("utility", "https://vtn", "site-1", {}).source == "openadr:utility"
