import pytest
from pydantic import ValidationError

from controller.settings.openadr2 import Vtn2Settings

LEAST = {
    "name": "utility",
    "url": "http://127.0.0.1:8080/OpenADR2/Simple/2.0b",
    "ven_name": "site-1",
    "programmes": {"http://dr": "dr"},
}
FILES = {"certificate_file": "c.pem", "key_file": "c.key", "ca_file": "ca.pem"}


def test_everything_that_is_written_arrives():
    more = {"url": "https://vtn.example/OpenADR2/Simple/2.0b", "power_unit": "kW", "resources": ["hall"], **FILES}
    spec = Vtn2Settings.model_validate(LEAST | more).spec()
    assert (spec.power_unit, spec.resources, str(spec.ca_file)) == (1e3, ("hall",), "ca.pem")
    assert Vtn2Settings.model_validate(LEAST).spec().power_unit is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "https://vtn.example/OpenADR2"}, "write them"),
        ({"url": "http://vtn.example/OpenADR2"}, "TLS"),
        ({"certificate_file": "c.pem"}, "belong together"),
        ({"vtn_fingerprint": "nonsense"}, "vtn_fingerprint"),
        ({"power_unit": "VA"}, "power_unit"),
        ({"programmes": {}}, "programmes"),
    ],
)
def test_what_protects_nobody_is_refused(more, said):
    with pytest.raises(ValidationError, match=said):
        Vtn2Settings.model_validate(LEAST | more)
