"""Any payload and any signature: an answer or an error, and no other exception."""

import contextlib
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.config.bridges import BridgeSettings
from floorline.errors import FloorlineError
from floorline.gateway.bridges.payloads import Label, Skipped, items_of, read_items
from floorline.gateway.bridges.signatures import TOLERANCE_SECONDS, digest, read_signature
from floorline.gateway.errors import ApiError

KINDS = ("webhook", "langfuse", "open_webui", "librechat")
NAMES = [
    *("id", "decision", "satisfied", "score", "rating", "source", "idempotency", "feedback"),
    *("traceId", "observationId", "name", "dataType", "value", "stringValue", "metadata"),
    *("messageId", "message_id", "data", "meta", "type", "details", "updatedAt", "updated_at"),
]
VALUES = ("BOOLEAN", "NUMERIC", "CATEGORICAL", "thumbsUp", "rating", "good", "1", 1, -1, 0.5)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    SCALARS | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=12,
)


def bridge(kind, **fields):
    given = {"name": "b", "kind": kind, "secret": "s" * 16, "labels": {"good": 1.0}, **fields}
    return BridgeSettings.model_validate(given)


BRIDGES = {kind: bridge(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(item=JSON)
def test_every_item_becomes_a_label_a_reason_or_an_error(kind, item):
    (read,) = read_items(BRIDGES[kind], [item])
    assert isinstance(read, Label | Skipped | FloorlineError)
    if isinstance(read, Label):
        assert 0.0 <= read.score <= 1.0
        assert read.decision or read.ids


@given(
    st.floats(-1e9, 1e9),
    st.floats(-1e9, 1e9),
    st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2, unique=True),
)
def test_ratings_keep_their_order_on_the_scale(one, other, ends):
    worst, best = sorted(ends)
    scaled = bridge("webhook", scale=[worst, best])
    one, other = sorted(min(max(rating, worst), best) for rating in (one, other))
    low, high = read_items(scaled, [{"id": "m", "rating": rating} for rating in (one, other)])
    assert 0.0 <= low.score <= high.score <= 1.0
    (lowest, highest) = read_items(scaled, [{"id": "m", "rating": r} for r in (worst, best)])
    assert (lowest.score, highest.score) == (0.0, 1.0)


@pytest.mark.parametrize("rating", [math.nan, math.inf, "many", "1e999", None])
def test_a_rating_that_is_no_number_of_the_scale_is_refused(rating):
    item = {"id": "1", "data": {"rating": 1, "details": None}, "meta": {"message_id": "m"}}
    item["data"]["rating"] = rating
    (read,) = read_items(BRIDGES["open_webui"], [item])
    assert isinstance(read, Skipped if rating is None else FloorlineError)


def test_the_items_of_each_form_of_a_body():
    assert items_of(BRIDGES["webhook"], {"feedback": [1, 2]}) == [1, 2]
    assert items_of(BRIDGES["langfuse"], {"data": [1]}) == [1]
    assert items_of(BRIDGES["open_webui"], [1]) == [1]
    # The fields of one item have the same names.
    one = {"messageId": "m", "feedback": {"rating": "thumbsUp"}}
    assert items_of(BRIDGES["librechat"], one) == [one]


PARTS = st.sampled_from(["t=", "v1=", ",", "1000", "0" * 64, "²"]) | st.text(max_size=3)


@given(st.lists(PARTS, max_size=9).map("".join), st.floats(0, 2_000))
def test_any_header_is_read_or_refused(header, now):
    read = None
    with contextlib.suppress(ApiError):
        read = read_signature(header, now)
    assert read is None or abs(read.at - now) <= TOLERANCE_SECONDS


@given(st.binary(max_size=200), st.integers(0, 10**11), st.binary(max_size=200))
def test_a_signature_holds_for_its_body_alone(body, at, other):
    read = read_signature(f"t={at},v1={digest('s' * 16, body, at).upper()}", at)
    assert read.matches("s" * 16, body)
    assert read.matches("s" * 16, other) == (other == body)
    assert not read.matches("t" * 16, body)


def test_a_time_at_the_edge_of_the_tolerance():
    header = f"t=1000,v1={'0' * 64}"
    for now in (1000 - TOLERANCE_SECONDS, 1000 + TOLERANCE_SECONDS):
        assert read_signature(header, now).at == 1000
    for now in (999 - TOLERANCE_SECONDS, 1001 + TOLERANCE_SECONDS):
        with pytest.raises(ApiError, match="300 s"):
            read_signature(header, now)


def test_items_may_have_fields_that_are_not_read():
    given = {"id": "1", "name": "n", "traceId": "t", "value": 1, "new": {"of": "the next version"}}
    (read,) = read_items(BRIDGES["langfuse"], msgspec.json.decode(msgspec.json.encode([given])))
    assert read == Label(("t",), "", 1.0, "user", "1 ")
