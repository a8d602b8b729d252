import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import SignalError
from controller.signals.feeds.safe_xml import read_xml

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]><a>&y;</a>"""
FILE = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>"""


def test_names_come_without_namespace_and_text_without_space():
    root = read_xml(b'<a xmlns="urn:x"><b> 1 </b><b><c>2</c></b></a>', "feed")
    assert (root.name, root.text_at("b"), root.text_at("x")) == ("a", "1", None)
    assert [one.text_at("c") for one in root.all("b")] == [None, "2"]
    assert root.find("b", "c") is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (LAUGHS, "document type"),
        (FILE, "document type"),
        (b"<a>" * 40 + b"</a>" * 40, "nested more than 32 deep"),
        (b"", "empty"),
        (b"<a><b></a>", "not XML, perhaps cut off"),
        (b"<a>", "cut off"),
        (b"{}", "not XML"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "encoding"),
    ],
)
def test_what_may_harm_or_is_no_xml_is_refused(body, says):
    with pytest.raises(SignalError, match=says):
        read_xml(body, "feed")


@given(st.binary(max_size=200) | st.text("<>ab&;/!?[]\"' =", max_size=80).map(str.encode))
def test_any_bytes_are_a_document_or_a_fault_that_is_told(body):
    with contextlib.suppress(SignalError):
        read_xml(body, "feed")
