import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from controller.model.capability import QosCost
from controller.openadr.messages import Version
from controller.settings.openadr import OpenAdr, VtnSettings, refuse_vtns
from controller.settings.programmes import Programmes
from controller.settings.signals import SignalSettings

ROOT = Path(__file__).parents[3]

LEAST = {"name": "utility", "url": "https://vtn.example/openadr3/", "programmes": {"ResShed": "dr"}}


def read(**more):
    return VtnSettings.model_validate(LEAST | more)


def refused(**more):
    with pytest.raises(ValidationError) as caught:
        read(**more)
    return str(caught.value)


def test_the_least_is_a_public_vtn_that_is_verified():
    spec = read().spec()
    assert spec.url == "https://vtn.example/openadr3"
    assert spec.credentials is None
    assert spec.is_verified
    assert spec.version is None
    assert spec.usd_per_unit == {"USD": 1.0}


def test_everything_that_is_written_arrives(tmp_path):
    spec = read(
        version="3.0",
        client_id="ven-1",
        client_secret_file=tmp_path / "secret",
        scope="read_all",
        token_url="https://auth.example/token",
        ven_name="site-1",
        resources=["hall"],
        targets=["north"],
        alerts={"ALERT_GRID_EMERGENCY": 3},
        relative_setpoint="reduction",
        percent_levels={10: 1, 25: 2},
        shed_cost="quality",
        usd_per_unit={"EUR": 1.1},
        currency="EUR",
        verify_tls=False,
    ).spec()
    assert spec.credentials.client_id == "ven-1"
    assert spec.credentials.token_url == "https://auth.example/token"
    assert spec.version is Version.V3_0
    assert spec.usd_per_unit == {"EUR": 1.1, "": 1.1}
    assert spec.relative_sheds
    assert spec.percent_levels == {10: 1, 25: 2}
    assert spec.shed_cost is QosCost.QUALITY
    assert not spec.is_verified


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "http://vtn.example"}, "OpenADR is spoken over TLS; write https://"),
        ({"url": "vtn.example"}, "is not the address of a VTN"),
        ({"url": "https://me:secret@vtn.example"}, "is not the address of a VTN"),
        ({"url": "https://vtn.example:0"}, "is not the address of a VTN"),
        ({"programmes": {}}, "programmes"),
        ({"client_id": "ven-1"}, "client_id needs its secret"),
        ({"client_id": "v", "client_secret_file": "a", "client_secret_env": "B"}, "write one of client_secret_file"),
        ({"client_secret_env": "SECRET"}, "with a client_id alone"),
        ({"resources": ["hall"]}, "write ven_name"),
        ({"currency": "EUR"}, "usd_per_unit has no rate for currency EUR"),
        ({"alerts": {"GRID_EMERGENCY": 3}}, "alerts"),
        ({"version": "2.0b"}, "version"),
        ({"percent_levels": {10: 1, -10: 1}}, "all above 0 or all below"),
        ({"percent_levels": {0: 1}}, "all above 0 or all below"),
        ({"percent_levels": {101: 1}}, "percent_levels"),
        ({"percent_levels": {10: 0}}, "percent_levels"),
        ({"shed_cost": "all"}, "shed_cost"),
        ({"poll_s": 0}, "poll_s"),
        ({"client_secret": "in the open"}, "client_secret"),
    ],
)
def test_what_is_wrong_is_refused_with_the_remedy(more, said):
    assert said in refused(**more)


def test_the_guide_shows_settings_that_are_taken():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/how-to/openadr.md").read_text(), re.DOTALL)
    shown = {}
    servers = {}
    for block in map(yaml.safe_load, blocks):
        for server in block.pop("openadr", []):  # later blocks show keys that are added to a server
            servers.setdefault(server["name"], {}).update(server)
        shown |= block
    programmes = TypeAdapter(Programmes).validate_python(shown["programmes"])
    vtns = TypeAdapter(OpenAdr).validate_python(list(servers.values()))
    feeds = SignalSettings.model_validate(shown["signals"])
    refuse_vtns(vtns, set(programmes), [feeds.price_usd_per_mwh.vtn, feeds.carbon_kg_per_mwh.vtn])


def test_an_address_of_this_machine_may_be_plain():
    assert read(url="http://127.0.0.1:8085").url == "http://127.0.0.1:8085"


def test_what_vtns_refer_to_must_be_there():
    refuse_vtns((read(),), {"dr"}, ["utility"])
    refuse_vtns((read(programmes={"ResShed": "operator"}),), set(), [])
    with pytest.raises(ValueError, match=r"openadr\.utility\.programmes: 'dr' is not in programmes"):
        refuse_vtns((read(),), set(), [])
    with pytest.raises(ValueError, match="two VTNs are called 'utility'"):
        refuse_vtns((read(), read()), {"dr"}, [])
    with pytest.raises(ValueError, match="no entry of openadr is called 'other'"):
        refuse_vtns((read(),), {"dr"}, ["other"])


CALLBACK = {"url": "https://site.example:8443/openadr/notifications", "port": 8443}


def test_a_callback_listens_on_this_machine_or_with_a_certificate():
    assert read().spec().callback is None
    assert read(callback=CALLBACK).spec().callback.host == "127.0.0.1"
    pair = {"certificate_file": "c.pem", "key_file": "c.key"}
    assert read(callback={**CALLBACK, "host": "0.0.0.0", **pair}).spec().callback.port == 8443
    assert "on this machine alone" in refused(callback={**CALLBACK, "host": "0.0.0.0"})
    assert "belong together" in refused(callback={**CALLBACK, "key_file": "c.key"})
    for bad in (
        "http://site.example/openadr/notifications",
        "https://site.example/",
        "https://u@x/openadr/notifications",
    ):
        assert "url" in refused(callback={**CALLBACK, "url": bad})


def test_reports_are_sent_unless_told_otherwise():
    spec = read(reservation_kw=2.5).spec()
    assert (spec.reports, spec.acknowledges, spec.reservation_w, spec.has_mqtt) == (True, True, 2500.0, False)
    assert not read(reports=False).spec().reports
