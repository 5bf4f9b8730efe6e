"""One place decides which values events can hold."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.bounds import (
    MAX_ERROR,
    MAX_NAME,
    MAX_TOKENS,
    canonical_id,
    check_count,
    check_name,
    check_time,
    clean_text,
    is_name,
)
from floorline.errors import InvalidInput, abbreviated
from floorline.events import (
    Decision,
    Feedback,
    Outcome,
    Recall,
    RequestContext,
    SlaChange,
    WarmStart,
    ZooChange,
    check_context,
    decode_event,
    encode_event,
)
from floorline.sla import SLA, Budget
from floorline.zoo import Model, Zoo

HUGE = [2**53, 2**63, 2**64 - 1, 10**400, pytest.param(10**5000, id="5000 digits")]
ODD_NAMES = ["a\0b", "x" * (MAX_NAME + 1), "\ud800", "line\nfeed", "\x85", "\u2028", b"bytes", 7]
ANY_TEXT = st.text(st.characters(), max_size=400)


@given(ANY_TEXT)
def test_what_is_a_name_every_store_can_write(text):
    if is_name(text):
        assert len(text) <= MAX_NAME
        assert not any(ord(c) < 32 for c in text)
        assert len(text.encode()) <= 4 * MAX_NAME
    else:
        with pytest.raises(InvalidInput, match="field is "):
            check_name("field", text)


@given(ANY_TEXT | st.text(min_size=300))
def test_an_id_of_a_provider_is_kept_in_a_form_that_is_a_name_and_stays(text):
    kept = canonical_id(text)
    assert is_name(kept)
    assert canonical_id(kept) == kept
    assert (kept == text) == is_name(text)


def test_ids_that_differ_only_after_the_bound_stay_apart():
    assert canonical_id("x" * 9000 + "a") != canonical_id("x" * 9000 + "b")


@given(st.text(st.characters(), max_size=3 * MAX_ERROR))
def test_a_text_is_cut_and_can_be_written(text):
    kept = clean_text(text)
    assert is_name(kept, MAX_ERROR)
    assert kept == text or not is_name(text, MAX_ERROR)


@pytest.mark.parametrize("value", [*HUGE, -1, 0.5, math.nan, math.inf, True, "7", None])
def test_a_count_that_no_table_holds_exactly_is_refused(value):
    with pytest.raises(InvalidInput, match=r"tokens is .*: give a whole number from 0 to"):
        check_count("tokens", value)


def test_the_largest_count_is_exact_as_a_float_and_in_sixty_four_bits():
    assert check_count("tokens", MAX_TOKENS) == int(float(MAX_TOKENS)) < 2**63


@pytest.mark.parametrize("value", [1.7e12, -1e11, math.nan, 10**400, "now", True])
def test_a_time_outside_of_the_calendar_is_refused(value):
    with pytest.raises(InvalidInput, match=r"at is .*: give seconds \(not milliseconds\)"):
        check_time("at", value)


@pytest.mark.parametrize(
    "value",
    ["x" * 2_000_000, b"\0" * 2_000_000, 10**5000, [1] * 10**6, {"a": 10**5000}, "\0" * 10**6],
    ids=["text", "bytes", "number", "list", "nested", "NUL"],
)
def test_a_message_never_repeats_a_huge_value(value):
    assert len(abbreviated(value)) <= 80
    assert len(str(InvalidInput("field", value, "give less"))) < 120


def outcome(**changed):
    return Outcome(**{"decision": "d1", "model": "small", "cost": 1.0, **changed})


def feedback(**changed):
    return Feedback(**{"decision": "d1", "model": "small", "score": 1.0, **changed})


def warm_start(**changed):
    return WarmStart(**{"digest": "a" * 64, "rows": 3, **changed})


NUMBERS = [
    *((outcome, name) for name in ("cost", "input_tokens", "output_tokens", "latency", "at")),
    *((feedback, name) for name in ("score", "cost", "at")),
    *((warm_start, name) for name in ("rows", "at")),
    (lambda **given: ZooChange(zoo=Zoo([Model("m")]), **given), "at"),
    (lambda **given: SlaChange(sla=SLA("gold", floor=0.5), **given), "at"),
    *(
        (lambda **given: Model("m", **given), name)
        for name in ("input_price", "output_price", "call_price", "typical_output_tokens")
    ),
    (lambda **given: Model("m", **given), "context_window"),
    (lambda **given: SLA("gold", floor=0.5, **given), "label_window"),
    (lambda **given: Budget(total=1.0, **given), "period"),
]


@pytest.mark.parametrize("value", [*HUGE[1:], 1e300, math.nan, -1e300])
@pytest.mark.parametrize(("build", "field"), NUMBERS)
def test_every_number_of_every_event_is_bounded(build, field, value):
    with pytest.raises(InvalidInput, match=rf"\.{field}\b.* is .*: give "):
        build(**{field: value})


NAMES = [
    (outcome, "decision"),
    (outcome, "model"),
    *((feedback, name) for name in ("decision", "model", "source", "key")),
    (warm_start, "digest"),
    (lambda name: Model(name), "name"),
    (lambda name: SLA(name, floor=0.5), "name"),
]


@pytest.mark.parametrize("value", ODD_NAMES)
@pytest.mark.parametrize(("build", "field"), NAMES)
def test_every_name_of_every_event_is_bounded(build, field, value):
    with pytest.raises(InvalidInput, match=rf"\.{field} is .*: give a text of at most 256"):
        build(**{field: value})


@pytest.mark.parametrize("value", ODD_NAMES)
@pytest.mark.parametrize("field", ["tenant", "key", "session", "after"])
def test_every_field_of_a_context_is_bounded(field, value):
    with pytest.raises(InvalidInput, match=rf"RequestContext\.{field} is .*: give a text of"):
        check_context(RequestContext(**{field: value}))


@given(ANY_TEXT, ANY_TEXT | st.text(min_size=1500))
def test_what_a_provider_gives_an_outcome_is_never_refused(completion, error):
    kept = outcome(completion=completion, error=error)
    assert is_name(kept.completion)
    assert is_name(kept.error, MAX_ERROR)
    assert decode_event(encode_event(kept)) == kept


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "x" * 300},
        {"id": ""},
        {"tenant": "t" * 129},
        {"session": "\0"},
        {"models": ("a\0",)},
        {"input_tokens": 2**63},
        {"at": 1e13},
    ],
)
def test_a_decision_that_is_given_back_is_bounded_too(changed, build_router, vector):
    made = build_router().route(features=vector(1))
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    with pytest.raises(InvalidInput, match=r"Decision\."):
        Recall(decision=Decision(**fields | changed))


def test_an_error_lists_a_bounded_number_of_names():
    zoo = Zoo([Model(f"m{n}" + "x" * 200) for n in range(500)])
    with pytest.raises(InvalidInput, match=r"and 480 more$") as caught:
        zoo.index("nobody")
    assert len(str(caught.value)) < 2000
