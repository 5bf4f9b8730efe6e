import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.gateway.upstreams.redaction import Redactor

KEY = "sk-proj-Ab1/+_Ab2=\\q\"<&>'"
ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=80)


def nested(text, depth=3):
    for _ in range(depth):
        text = json.dumps(text)
    return text


ENCODINGS = {
    "plain": str,
    "JSON": json.dumps,
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON in JSON": nested,
    "code points": lambda text: "".join(f"\\u{ord(c):04X}" for c in text),
    "code points in JSON": lambda text: json.dumps("".join(f"\\u{ord(c):04x}" for c in text)),
    "percent": lambda text: quote(text, safe=""),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@given(secret=ASCII)
def test_a_secret_is_found_in_every_encoding(encode, secret):
    redactor = Redactor([f"Bearer {secret}"])
    said = f"it was {encode(secret)} that failed"
    for found in (redactor.text(said), redactor.body(said.encode()).decode()):
        assert "***" in found
        assert encode(secret) not in found
        assert secret not in html.unescape(found)
        assert found.startswith("it was ")


def test_a_cut_key_is_found():
    assert Redactor([KEY]).text(f"Incorrect key: {KEY[:14]}****xyz.") == "Incorrect key: ***"


def test_short_values_of_headers_are_no_secrets():
    assert Redactor(["true", "1", "us"]).text("true is 1 of us") == "true is 1 of us"
    assert Redactor([]).body(b"nothing to hide") == b"nothing to hide"
