"""Asking a stream for its usage."""

import msgspec
import pytest

from floorline.gateway.upstreams.requests import ask_usage


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"null", b'{"include_usage":true}'),
        (b"{}", b'{"include_usage":true}'),
        (b'{"include_usage":false,"x":1}', b'{"include_usage":true,"x":1}'),
    ],
)
def test_asking_for_usage_changes_nothing_else(options, sent):
    body = b'{"a": 1.0,"stream_options":%s,"b": "\\u00fc"}'
    changed, asked = ask_usage(body % options)
    assert asked
    assert msgspec.json.decode(changed) == msgspec.json.decode(body % sent)
    assert b'"b":"\\u00fc"' in changed


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"stream_options": 7}', b'{"stream_options": [}'])
def test_malformed_requests_are_not_changed(body):
    assert ask_usage(body) == (body, False)
