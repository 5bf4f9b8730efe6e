"""JSON that msgspec refuses is read, and its other fields keep their bytes."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.gateway.lenient_json import read_fields, read_value, repaired, write_fields

ODD = [b"NaN", b"-Infinity", b'"\\ud800"', b'"\xff"', b'{"\\udc00": [Infinity, "}],:"]}']


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_value_travels_on_as_it_came(odd):
    fields = read_fields(b' {"id": "c-1", "odd" :' + odd + b' , "text": "a\\"}:,b"} ')
    assert {name: bytes(raw) for name, raw in fields.items()} == {
        "id": b'"c-1"',
        "odd": odd,
        "text": b'"a\\"}:,b"',
    }
    assert b'"odd":' + odd in write_fields(fields)


@pytest.mark.parametrize("odd", ODD)
def test_what_is_read_of_an_odd_value_can_be_encoded(odd):
    value = read_value(b'{"odd": ' + odd + b"}")
    assert set(value) == {"odd"}
    json.dumps(value, ensure_ascii=False).encode()


def test_an_odd_name_travels_on():
    fields = read_fields(b'{"\\ud800": 1, "b": NaN}')
    assert write_fields(fields) == b'{"\\ud800":1,"b":NaN}'


@pytest.mark.parametrize(
    "broken",
    [
        *(
            b"",
            b"[NaN]",
            b"NaN",
            b'"{}',
            b'{"a": NaN',
            b'{"a": NaN} x',
            b'x{"a": NaN}',
            b'{"a" NaN}',
        ),
        *(b"{'a': NaN}", b'{"a": [NaN}]', b'{"a": NaN,}', b'{"a": , "b": NaN}', b'{,"a": NaN}'),
        *(b'{"a": NaN}{}', b'{"a": "x\ny}', b"{1: NaN}", b'{"a": NaN "b": 1}'),
    ],
)
def test_what_is_no_json_object_is_refused(broken):
    with pytest.raises(ValueError):
        read_fields(broken)


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_a_value_that_is_not_needed_may_be_deep(depth):
    deep = b"[" * depth + b"NaN" + b"]" * depth
    fields = read_fields(b'{"a": ' + deep + b', "b": 1}')
    assert (bytes(fields["a"]), bytes(fields["b"])) == (deep, b"1")
    with pytest.raises(ValueError, match="deep"):
        read_value(fields["a"])


def test_many_values_are_refused_by_the_slow_parser_only():
    many = b'{"a": [' + b"1," * 300_000 + b"%b]}"
    assert len(read_fields(many % b"1")) == 1
    with pytest.raises(ValueError, match="values"):
        read_fields(many % b"NaN")


def test_a_copy_for_reading_keeps_lengths_and_whole_surrogates():
    data = rb'{"a": [NaN, -Infinity,Infinity], "t": "\ud83e\udd89 \ud83e \udd89 a NaN, b"}'
    copy = repaired(data)
    assert len(copy) == len(data)
    assert msgspec.json.decode(copy) == {"a": [-1, -1, -1], "t": "🦉 \ufffd \ufffd a -1 , b"}
    assert msgspec.json.decode(repaired(b'\xef\xbb\xbf{"t": "\xff"}')) == {"t": "\ufffd"}


def test_very_many_odd_values_are_refused():
    for odd in (b"NaN,", b"-Infinity,", b'"\\ud83e",'):
        with pytest.raises(ValueError, match="200,000"):
            repaired(b"[" + odd * 300_000 + b"1]")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.just(float("nan")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=5), st.sampled_from([None, 1]))
def test_fields_are_those_of_pythons_parser(value, indent):
    data = json.dumps({**value, "odd": float("inf")}, indent=indent).encode()
    fields = read_fields(data)
    expected = json.loads(data)
    assert list(fields) == list(expected)
    for name, raw in fields.items():
        assert repr(json.loads(bytes(raw))) == repr(expected[name])
    assert repr(json.loads(write_fields(fields))) == repr(expected)


def test_strict_json_is_decoded_by_msgspec():
    assert read_value(msgspec.Raw(b'{"a": [1, 2.5, null]}')) == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("junk", [b'"x"' + b'""' * 5_000_000, b"{" + b":" * 10_000_000 + b"}"])
def test_millions_of_signs_without_values_are_no_json(junk):
    began = time.process_time()
    with pytest.raises(ValueError, match="malformed"):
        read_fields(b'{"a":NaN,"b":' + junk + b"}")
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("odd", [b"1", *ODD])
def test_one_byte_order_mark_is_no_part_of_the_json(odd):
    mark = b"\xef\xbb\xbf"
    assert bytes(read_fields(mark + b'{"a": ' + odd + b"}")["a"]) == odd
    with pytest.raises(ValueError):
        read_fields(mark * 5_000 + b'{"a": ' + odd + b"}")
